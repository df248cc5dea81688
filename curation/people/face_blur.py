"""Faces made unrecognisable in the pictures of pages. A picture in which no face is found is blurred whole: what the detectors overlook must
not be shown for that.
"""

import cv2
import numpy as np

from curation.people.faces import find_faces
from curation.people.keypoints import CONFIDENT, FACE, KeypointDetector

MARGIN = 0.35  # of a box's size, on each side: hair and chin say who it is too
BLOCKS = 6  # squares across a face
BLOCKS_OF_A_PICTURE = 12  # across a picture's shorter side
FEWEST_POINTS = 5  # of 68, for a box around them


class FaceBlur:
    """Hides the faces that the profile's keypoint detector or OpenCV's frontal faces find."""

    def __init__(self, detector: KeypointDetector | None):
        """`detector` reads one person's keypoints in pictures of any size."""
        self._detector = detector

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A copy of `(H, W, 3)` uint8 without faces."""
        hidden = picture.copy()
        height, width = picture.shape[:2]
        boxes = [*self._from_keypoints(picture), *((x, y, x + w, y + h) for x, y, w, h in find_faces(picture))]
        for left, top, right, bottom in boxes:
            across, down = MARGIN * (right - left), MARGIN * (bottom - top)
            x0, x1 = max(0, int(left - across)), min(width, int(np.ceil(right + across)))
            y0, y1 = max(0, int(top - down)), min(height, int(np.ceil(bottom + down)))
            if x1 > x0 and y1 > y0:
                hidden[y0:y1, x0:x1] = _in_squares(hidden[y0:y1, x0:x1], BLOCKS)
        return hidden if boxes else _in_squares(picture, BLOCKS_OF_A_PICTURE)

    def _from_keypoints(self, picture: np.ndarray) -> list[tuple[float, float, float, float]]:
        if self._detector is None:
            return []
        face = self._detector(picture[None])[0, FACE]
        seen = face[face[:, 2] > CONFIDENT, :2]
        return [(*seen.min(axis=0), *seen.max(axis=0))] if len(seen) >= FEWEST_POINTS else []


def _in_squares(picture: np.ndarray, across: int) -> np.ndarray:
    """As so many squares of one colour each along the shorter side: unlike a blur, nothing of the rest comes back."""
    height, width = picture.shape[:2]
    scale = across / min(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))
