"""Sharpness: what blur takes away."""

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import SharpnessConfig


def sharpness(luma: np.ndarray) -> float:
    """Median over frames of the Laplacian's variance, of `(T, H, W)` luma in [0, 255] (Pech-Pacheco et al. 2000)."""
    return float(np.median([_laplacian_variance(image) for image in luma]))


def _laplacian_variance(image: np.ndarray) -> float:
    depth = cv2.CV_16S if image.dtype == np.uint8 else cv2.CV_32F
    return float(cv2.meanStdDev(cv2.Laplacian(image, depth))[1][0, 0] ** 2)


def score(material: Material, config: SharpnessConfig) -> Values:
    """Column `sharpness`, at the source's own size."""
    return {"sharpness": sharpness(material.native_grey)}


SHARPNESS = Score("sharpness", "laplacian-variance-2", floats("sharpness"), ("native",), score)
