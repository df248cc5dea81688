"""Brightness of pixels, which most picture scores start from."""

import numpy as np

BT601 = np.array([0.299, 0.587, 0.114], np.float32)


def luma(frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8 RGB to `(T, H, W)` float32 in [0, 255] (ITU-R BT.601 weights)."""
    return frames.astype(np.float32) @ BT601
