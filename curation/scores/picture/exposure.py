"""Exposure: how bright a picture is, how much contrast it has, and how much of it is lost in black or white."""

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import ExposureConfig


def histogram(grey: np.ndarray) -> np.ndarray:
    """`(256,)` share of the pixels of `(T, H, W)` uint8 at each level."""
    counts = sum(cv2.calcHist([image], [0], None, [256], [0, 256])[:, 0].astype(np.float64) for image in grey)
    return np.asarray(counts) / grey.size


def lost_shares(shares: np.ndarray, dark: float, bright: float) -> tuple[float, float]:
    """Shares of pixels at or below `dark` and at or above `bright`, of a `histogram`."""
    levels = np.arange(256)
    return float(shares[levels <= dark].sum()), float(shares[levels >= bright].sum())


def brightness(shares: np.ndarray) -> float:
    """Mean level of a `histogram`, over 255: 0 black, 1 white."""
    return float((shares * np.arange(256)).sum() / 255.0)


def contrast(shares: np.ndarray) -> float:
    """From the 5th to the 95th percentile of a `histogram`, over 255."""
    below = np.cumsum(shares)
    return float((np.searchsorted(below, 0.95) - np.searchsorted(below, 0.05)) / 255.0)


def score(material: Material, config: ExposureConfig) -> Values:
    """Columns `brightness`, `contrast`, `black_share`, `white_share`."""
    shares = histogram(material.native_grey)
    black, white = lost_shares(shares, config.dark, config.bright)
    return {
        "brightness": brightness(shares),
        "contrast": contrast(shares),
        "black_share": black,
        "white_share": white,
    }


EXPOSURE = Score("exposure", "2", floats("brightness", "contrast", "black_share", "white_share"), ("native",), score)
