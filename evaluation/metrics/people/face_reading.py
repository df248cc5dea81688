"""What geometry reads from a face: how far the mouth opens, how open the eyes are, where the head points."""

from dataclasses import dataclass

import numpy as np

from evaluation.metrics.wholebody import CONFIDENT, FACE
from media.keypoints.face_points import eye_aspect_ratio, face_height, lip_opening
from media.keypoints.head_pose import head_angles


@dataclass(frozen=True)
class FaceReading:
    """Of T frames; NaN where the points are not seen.

    Attributes:
        opening: `(T,)` distance of the inner lips in heights of the face, brows to chin.
        eyes: `(T,)` eye aspect ratio.
        angles: `(T, 3)` yaw, pitch and roll of the head in degrees.
        found: `(T,)` bool, more than half of the 68 points are seen.
    """

    opening: np.ndarray
    eyes: np.ndarray
    angles: np.ndarray
    found: np.ndarray

    @classmethod
    def of(cls, keypoints: np.ndarray, height: int, width: int) -> "FaceReading":
        """Of `(T, 133, 3)` keypoints in a picture of `height` x `width`."""
        face = np.asarray(keypoints, np.float64)[:, FACE]
        size = face_height(face, CONFIDENT)
        opening = lip_opening(face, CONFIDENT) / np.where(size > 0, size, np.nan)
        found = (face[..., 2] > CONFIDENT).mean(axis=1) > 0.5
        return cls(opening, eye_aspect_ratio(face, CONFIDENT), head_angles(keypoints, height, width, CONFIDENT), found)
