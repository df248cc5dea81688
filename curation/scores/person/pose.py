"""Pose: is everything in view that the pose condition uses, and does it move like a body or like noise."""

from collections.abc import Sequence

import numpy as np

from curation.people.keypoints import CONFIDENT
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import PoseConfig


def pose_visibility(keypoints: np.ndarray, wanted: Sequence[int], confident: float = CONFIDENT) -> float:
    """Share in [0, 1] of frames of `(T, 133, 3)` in which every keypoint in `wanted` has confidence above `confident`."""
    return float((keypoints[:, list(wanted), 2] > confident).all(axis=1).mean())


def keypoint_jitter(keypoints: np.ndarray, wanted: Sequence[int], confident: float = CONFIDENT) -> float:
    """Mean length in pixels of the second difference x[t-1] - 2 x[t] + x[t+1] of `wanted` keypoints that are seen in
    all three frames; 0 for uniform motion, NaN where none is seen in three in a row."""
    points, seen = keypoints[:, list(wanted), :2], keypoints[:, list(wanted), 2] > confident
    bend = np.hypot(*np.moveaxis(points[:-2] - 2 * points[1:-1] + points[2:], -1, 0))
    steady = seen[:-2] & seen[1:-1] & seen[2:]
    return float(bend[steady].mean()) if steady.any() else float("nan")


def score(material: Material, config: PoseConfig) -> Values:
    """Columns `pose_visibility` and `keypoint_jitter`, of the keypoints that the pose condition uses."""
    keypoints, wanted = material.detected.keypoints, material.bench.pose_keypoints
    return {
        "pose_visibility": pose_visibility(keypoints, wanted, config.confident),
        "keypoint_jitter": keypoint_jitter(keypoints, wanted, config.confident),
    }


POSE = Score("pose", "2", floats("pose_visibility", "keypoint_jitter"), ("keypoints", "pose_keypoints"), score)
