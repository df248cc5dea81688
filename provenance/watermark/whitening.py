"""What is looked at of a picture: the band of the mark, everywhere equally loud, laid over itself tile by tile."""

from functools import cache

import cv2
import numpy as np

from provenance.watermark.pattern import SIDE, TILE, carriers

FINE, COARSE, NEAR = 0.8, 2.5, 6  # pixels: the band's two Gaussians, and how far around counts as one place
QUIET = 1.5  # root mean square in levels: about what an encoder leaves of the mark in a smooth place
# Standard deviation over time in levels from which a place says little: an encoder takes a still mark from what moves.
MOVING, AROUND = 10.0, 9  # and pixels across that count as one place


def side_of(height: int, width: int) -> tuple[int, int]:
    """Height and width with `SIDE` pixels on the shorter side."""
    scale = SIDE / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_side(luminance: np.ndarray) -> np.ndarray:
    """`(H, W)` float brought to `SIDE` pixels on its shorter side."""
    height, width = side_of(*luminance.shape)
    if luminance.shape == (height, width):
        return luminance
    shrinks = min(luminance.shape) > SIDE
    return cv2.resize(luminance, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


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


def steady(variance: np.ndarray, moving: float, around: int) -> np.ndarray:
    """`(H, W)` float32, 1 where nothing moves, a half where the standard deviation over time is `moving` levels; `variance` is over time, in squared levels."""
    near = cv2.blur(variance, (around, around))
    weights: np.ndarray = 1 / (1 + np.maximum(near, 0) * np.float32(1 / moving**2))
    return weights


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
