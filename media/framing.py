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
    top, left, crop_height, crop_width = centre_part(own_height, own_width, height, width)
    cropped = picture[top : top + crop_height, left : left + crop_width]
    # Averaging keeps small pictures free of aliasing; enlarging needs interpolation.
    smaller = max(height / own_height, width / own_width) < 1
    return cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def points_in_crop(points: np.ndarray, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    """Where `(..., 2)` x and y of a picture lie once `crop_to` made `height` x `width` of it; outside of it where they were cut off.

    Args:
        points: in pixels; 0 is the middle of the first one.
        size: height and width of the picture that they are in.
        height, width: of what becomes of it.
    """
    if size == (height, width):
        return points
    top, left, crop_height, crop_width = centre_part(*size, height, width)
    scale = np.array([width / crop_width, height / crop_height])
    return (points + 0.5 - np.array([left, top])) * scale - 0.5


def centre_part(own_height: int, own_width: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest part of the shape `height` x `width` about the middle of a picture."""
    scale = max(height / own_height, width / own_width)
    crop_height = min(own_height, max(1, round(height / scale)))
    crop_width = min(own_width, max(1, round(width / scale)))
    return (own_height - crop_height) // 2, (own_width - crop_width) // 2, crop_height, crop_width
