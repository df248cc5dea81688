"""Noise: the standard deviation of what a smooth picture would not have."""

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import NoiseConfig

# Difference of two Laplacians: blind to constant, linear and quadratic brightness; noise of deviation s comes out with
# 6 s (Immerkaer, "Fast noise variance estimation", CVIU 1996).
MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
BLOCK = 16
NORMAL_MEAN = np.sqrt(2 / np.pi)  # of |x| for a standard normal x
LOWEST, HIGHEST = 3, 252  # a clipped pixel has lost its noise


def noise(grey: np.ndarray, flattest: float = 0.25) -> float:
    """Standard deviation in grey levels, median over `(T, H, W)` uint8 pictures.

    Texture answers the mask as noise does, so only the `flattest` share of 16-pixel blocks counts: those with the
    smallest answer among blocks that are neither black nor white. For pure noise that share is low by a few percent.
    """
    return float(np.median([_of_picture(image, flattest) for image in grey]))


def _of_picture(image: np.ndarray, flattest: float) -> float:
    answer = np.abs(cv2.filter2D(image, cv2.CV_32F, MASK))[1:-1, 1:-1]
    inner = image[1:-1, 1:-1]
    deviations = _blocks(answer) / 6 / NORMAL_MEAN
    unclipped = _blocks(((inner > LOWEST) & (inner < HIGHEST)).astype(np.float32)) > 0.99
    if not unclipped.any():
        return 0.0
    usable = np.sort(deviations[unclipped])
    return float(usable[: max(1, round(flattest * len(usable)))].mean())


def _blocks(values: np.ndarray) -> np.ndarray:
    rows, columns = (size // BLOCK * BLOCK for size in values.shape)
    return values[:rows, :columns].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).mean(axis=(1, 3))


def score(material: Material, config: NoiseConfig) -> Values:
    """Column `noise`, at the source's own size."""
    return {"noise": noise(material.native_grey, config.flattest)}


NOISE = Score("noise", "immerkaer-flat-1", floats("noise"), ("native",), score)
