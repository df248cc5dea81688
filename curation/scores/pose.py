"""Pose: is everything in view that the pose condition uses, and does it move like a body or like noise."""

from collections.abc import Sequence

import numpy as np

from curation.keypoints import CONFIDENT

VERSION = "1"


def pose_visibility(keypoints: np.ndarray, wanted: Sequence[int]) -> float:
    """Share in [0, 1] of frames of `(T, 133, 3)` in which every keypoint in `wanted` has confidence above 0.5."""
    return float((keypoints[:, list(wanted), 2] > CONFIDENT).all(axis=1).mean())


def keypoint_jitter(keypoints: np.ndarray, wanted: Sequence[int]) -> float:
    """Mean length in pixels of the second difference x[t-1] - 2 x[t] + x[t+1] of `wanted` keypoints that are seen in
    all three frames; 0 for uniform motion, NaN where none is seen in three in a row."""
    points, seen = keypoints[:, list(wanted), :2], keypoints[:, list(wanted), 2] > CONFIDENT
    bend = np.hypot(*np.moveaxis(points[:-2] - 2 * points[1:-1] + points[2:], -1, 0))
    steady = seen[:-2] & seen[1:-1] & seen[2:]
    return float(bend[steady].mean()) if steady.any() else float("nan")
