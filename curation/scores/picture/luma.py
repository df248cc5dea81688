"""Brightness of pixels, which most picture scores start from."""

import cv2
import numpy as np

BT601 = (np.float32(0.299), np.float32(0.587), np.float32(0.114))


def luma(frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8 RGB to `(T, H, W)` float32 in [0, 255] (ITU-R BT.601 weights)."""
    # Written out: as a matrix product this would wake every BLAS thread for three multiplications.
    red, green, blue = (frames[..., channel] * weight for channel, weight in enumerate(BT601))
    return red + green + blue


def grey(frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8 RGB to `(T, H, W)` uint8, the same weights rounded: for pictures at full size."""
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in frames])
