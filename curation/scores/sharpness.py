"""Sharpness: what blur takes away."""

import cv2
import numpy as np

VERSION = "laplacian-variance-1"


def sharpness(luma: np.ndarray) -> float:
    """Median over frames of the Laplacian's variance, of `(T, H, W)` luma in [0, 255] (Pech-Pacheco et al. 2000)."""
    return float(np.median([cv2.Laplacian(image, cv2.CV_32F).var() for image in luma.astype(np.float32)]))
