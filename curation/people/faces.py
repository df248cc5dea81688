"""Frontal faces of people by the detector that OpenCV's package carries: no weights to fetch, whatever the profile."""

from functools import lru_cache
from pathlib import Path

import cv2
import cv2.data
import numpy as np

CASCADE = "haarcascade_frontalface_alt2.xml"
NAME = "opencv-frontal-faces"
# Of 55 pictures of people 46 are found with these, and of 127 of anything else none (docs/results/2026-11-29-who-is-seen.md).
LONGER_SIDE = 320
NEIGHBOURS = 5  # windows that must agree
SMALLEST = LONGER_SIDE // 12  # pixels of a face's side
STEP = 1.1  # between two sizes of window
BESIDE = 0.5  # of the largest face's width, from which on another one is a second person and none of the background


def find_faces(image: np.ndarray) -> np.ndarray:
    """`(N, 4)` int boxes (x, y, width, height) in pixels of `image`, the largest first.

    A face turned by more than some 30 degrees, or cut by the picture's edge, is not found.

    Args:
        image: `(H, W, 3)` uint8 RGB of any size.
    """
    scale = LONGER_SIDE / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(1, round(side * scale)) for side in (image.shape[1], image.shape[0])]
    grey = cv2.equalizeHist(cv2.cvtColor(cv2.resize(image, size, interpolation=method), cv2.COLOR_RGB2GRAY))
    found = _cascade().detectMultiScale(grey, STEP, NEIGHBOURS, minSize=(SMALLEST, SMALLEST))
    boxes = np.asarray(found, float).reshape(-1, 4) / scale
    return boxes[np.argsort(-boxes[:, 2])].round().astype(int)


def count_people(boxes: np.ndarray) -> int:
    """How many of `find_faces`' boxes are people beside one another, and neither background nor a shadow taken for a face."""
    return int((boxes[:, 2] >= BESIDE * boxes[0, 2]).sum()) if len(boxes) else 0


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))
