"""What every metric against the truth of a rendered person shares."""

import numpy as np

from evaluation.metrics.streaming import ClipMean, Network
from evaluation.metrics.wholebody import CONFIDENT, FACE
from media.keypoints.face_points import OUTER_CORNERS


class AgainstTruth(ClipMean):
    """A number per clip of what the keypoint detector reads from the generated frames, held against what was drawn."""

    needs = ("keypoints", "person_truth")

    def __init__(self, network: Network):
        super().__init__(network)


def eye_distance(face: np.ndarray) -> np.ndarray:
    """`(T,)` pixels between the outer corners of the eyes of `(T, 68, 3)` points."""
    right, left = OUTER_CORNERS
    return np.hypot(*(face[:, left, :2] - face[:, right, :2]).T)


def read_face(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(T, 68, 3)` face points of `(T, 133, 3)` keypoints, and `(T,)` whether more than half of them are seen."""
    face = np.asarray(keypoints, np.float64)[:, FACE]
    return face, (face[..., 2] > CONFIDENT).mean(axis=1) > 0.5


def away(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`(...)` distances of `(..., 2 or 3)` points in the picture."""
    apart: np.ndarray = np.linalg.norm(first[..., :2].astype(np.float64) - second[..., :2], axis=-1)
    return apart
