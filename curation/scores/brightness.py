"""Brightness: too dark and too bright pictures teach little."""

import numpy as np

VERSION = "1"


def brightness(luma: np.ndarray) -> float:
    """Mean of `(T, H, W)` luma in [0, 255], over 255: 0 black, 1 white."""
    return float(luma.mean() / 255.0)
