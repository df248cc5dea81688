"""The face that SyncNet looks at: a steady square around it, cut from the picture as its authors' pipeline does."""

import cv2
import numpy as np

from curation.people.keypoints import FACE

SIDE = 224
PADDING, GREY = 1, 110  # in face sizes; the authors pad with grey 110
MEDIAN = 13  # frames, of the filter that steadies the box
FEWEST = 20  # face points that must be seen for a frame to have a face


def face_boxes(keypoints: np.ndarray, confident: float = 0.5) -> np.ndarray:
    """`(T, 3)` centre x, centre y and half side of the box of the seen face points; NaN where no face is seen."""
    boxes = np.full((len(keypoints), 3), np.nan)
    for t, points in enumerate(keypoints[:, FACE]):
        seen = points[points[:, 2] > confident, :2]
        if len(seen) >= FEWEST:
            low, high = seen.min(axis=0), seen.max(axis=0)
            # Landmarks end at the brows; a detector's box, which the protocol assumes, holds the forehead too.
            low = low - [0.0, 0.35 * (high[1] - low[1])]
            boxes[t] = [*(low + high) / 2, (high - low).max() / 2]
    return boxes


def steady(boxes: np.ndarray) -> np.ndarray:
    """Gaps filled linearly, then a median over 13 frames.

    Raises:
        ValueError: no frame has a face.
    """
    from scipy.signal import medfilt

    seen = np.isfinite(boxes[:, 0])
    if not seen.any():
        raise ValueError("no frame has a face")
    time = np.arange(len(boxes))
    filled = np.stack([np.interp(time, time[seen], column[seen]) for column in boxes.T], axis=1)
    reach = MEDIAN // 2
    padded = np.pad(filled, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([medfilt(column, MEDIAN)[reach : len(padded) - reach] for column in padded.T], axis=1)


def cut_faces(frames: np.ndarray, boxes: np.ndarray, crop_scale: float) -> np.ndarray:
    """`(T, 224, 224, 3)` uint8 BGR of `(T, H, W, 3)` uint8 RGB.

    With half side b and scale c the cut goes from b above the centre to b (1 + 2 c) below it, and b (1 + c) to each side.
    """
    pictures = []
    for image, (x, y, half) in zip(frames, boxes, strict=True):
        margin = int(half * (1 + 2 * crop_scale)) + PADDING
        padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), constant_values=GREY)
        top, bottom = int(y + margin - half), int(y + margin + half * (1 + 2 * crop_scale))
        left, right = int(x + margin - half * (1 + crop_scale)), int(x + margin + half * (1 + crop_scale))
        cut = padded[max(0, top) : max(bottom, top + 1), max(0, left) : max(right, left + 1)]
        pictures.append(cv2.resize(cut, (SIDE, SIDE))[..., ::-1])
    return np.stack(pictures)
