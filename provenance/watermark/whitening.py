"""What is looked at of a picture: the band of the mark, everywhere equally loud, laid over itself tile by tile."""

from functools import cache

import cv2
import numpy as np

from provenance.watermark.pattern import SIDE, TILE, carriers

FINE, COARSE, NEAR = 0.8, 2.5, 6  # pixels: the band's two Gaussians, and how far around counts as one place
QUIET = 1.5  # root mean square in levels: about what an encoder leaves of the mark in a smooth place


def to_side(luminance: np.ndarray) -> np.ndarray:
    """`(H, W)` float brought to `SIDE` pixels on its shorter side."""
    height, width = luminance.shape
    scale = SIDE / min(height, width)
    if scale == 1:
        return luminance
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(luminance, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def whitened(picture: np.ndarray, added: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """`(H, W)` float: the band, at most 2 in modulus, and by what it was multiplied. Hair and edges would drown the mark, so what is loud counts less.

    Args:
        picture: `(H, W)` float.
        added: mean square of what is still to be added to the band.
        scale: of the picture beside one with `SIDE` pixels on its shorter side.
    """
    band = cv2.GaussianBlur(picture, (0, 0), scale * FINE) - cv2.GaussianBlur(picture, (0, 0), scale * COARSE)
    near = 2 * round(scale * NEAR) + 1
    loudness = cv2.sqrt(cv2.blur(band * band, (near, near)) + added) + 0.5
    gain = np.minimum(1.0, QUIET / loudness) / loudness
    return np.clip(band * gain, -2.0, 2.0), gain


@cache
def response() -> np.ndarray:
    """`(F,)` how much of each used frequency the band keeps."""
    chosen = carriers()
    frequency = np.fft.fftfreq(TILE)
    square = frequency[chosen.rows] ** 2 + frequency[chosen.columns] ** 2
    fine, coarse = (np.exp(-2 * np.pi**2 * sigma**2 * square) for sigma in (FINE, COARSE))
    return fine - coarse


def tile_spectrum(picture: np.ndarray, side: int = TILE) -> np.ndarray:
    """`(side, side)` complex64 of the sum of all tiles of `(H, W)` float32."""
    height, width = picture.shape
    down, across = -(-height // side), -(-width // side)
    padded = cv2.copyMakeBorder(
        picture, 0, down * side - height, 0, across * side - width, cv2.BORDER_CONSTANT, value=0
    )
    tile = padded.reshape(down, side, across, side).sum(axis=(0, 2))
    return cv2.dft(tile, flags=cv2.DFT_COMPLEX_OUTPUT).view(np.complex64)[..., 0]
