"""Pictures brought to another shape."""

import math

import cv2
import numpy as np


def shape_distance(height: int, width: int, other_height: int, other_width: int) -> float:
    """How far two aspect ratios lie apart, |log ratio|; equal ones are 0 whatever their sizes."""
    return round(abs(math.log(height / width * other_width / other_height)), 9)


def crop_to(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """`(H, W, 3)` uint8 cut about its centre to the shape `height` x `width` and resized; of that size, it is returned."""
    own_height, own_width = picture.shape[:2]
    if (own_height, own_width) == (height, width):
        return picture
    scale = max(height / own_height, width / own_width)
    crop_height = min(own_height, max(1, round(height / scale)))
    crop_width = min(own_width, max(1, round(width / scale)))
    top, left = (own_height - crop_height) // 2, (own_width - crop_width) // 2
    cropped = picture[top : top + crop_height, left : left + crop_width]
    # Averaging keeps small pictures free of aliasing; enlarging needs interpolation.
    return cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
