"""Stillness: frames that repeat the one before."""

import numpy as np

VERSION = "1"
# Grey levels, mean over the picture. A repeated frame after H.264 differs by less, a talking mouth by more.
REPEATED = 0.35


def still_share(luma: np.ndarray) -> float:
    """Share in [0, 1] of consecutive pairs of `(T, H, W)` luma frames in [0, 255] that are the same picture."""
    if len(luma) < 2:
        return 1.0
    return float((np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)) < REPEATED).mean())
