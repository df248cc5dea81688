"""Poses in ComfyUI: this project's keypoint files, and the POSE_KEYPOINT that the DWPose nodes of others make."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from comfy_nodes.errors import NodeError
from media.keypoints.keypoint_file import POINTS, Keypoints

# COCO's 17 of OpenPose's 18, whose second is the neck.
_BODY = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
_FACE, _LEFT, _RIGHT = slice(23, 91), slice(91, 112), slice(112, 133)


def from_openpose(frames: Sequence[Mapping[str, Any]], fps: float) -> Keypoints:
    """Keypoints of POSE_KEYPOINT: one OpenPose dictionary a frame, of which the first person counts; feet are not in it.

    Args:
        frames: each with `people`, `canvas_width` and `canvas_height`; coordinates in pixels, or in parts of the canvas where none is above 1.
        fps: rate of the frames.

    Raises:
        NodeError: no frames, no such dictionary, or canvases of several sizes.
    """
    try:
        sizes = {(int(frame["canvas_width"]), int(frame["canvas_height"])) for frame in frames}
        points = [_points(frame["people"]) for frame in frames]
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(
            "pose_keypoint is a list of OpenPose's dictionaries, one a frame, with people, canvas_width and canvas_height"
        ) from error
    if len(sizes) != 1:
        raise NodeError(f"pose_keypoint has frames of one size, got {sorted(sizes) or 'no frames'}")
    width, height = sizes.pop()
    track = np.stack(points)
    if track[..., :2].max() <= 1.0:
        track[..., :2] *= (width, height)
    return Keypoints(track, width, height, fps)


def _points(people: Sequence[Mapping[str, Any]]) -> np.ndarray:
    found = np.zeros((POINTS, 3), np.float32)
    if not people:
        return found
    person = people[0]
    body = _triples(person, "pose_keypoints_2d")
    if len(body):
        found[:17] = body[list(_BODY)]
    for name, rows in (("face", _FACE), ("hand_left", _LEFT), ("hand_right", _RIGHT)):
        part = _triples(person, f"{name}_keypoints_2d")[: rows.stop - rows.start]
        found[rows.start : rows.start + len(part)] = part
    return found


def _triples(person: Mapping[str, Any], name: str) -> np.ndarray:
    return np.asarray(person.get(name) or (), np.float32).reshape(-1, 3)
