"""What is looked at of a picture: the band of the mark, everywhere equally loud, laid over itself tile by tile."""

import cv2
import numpy as np

from provenance.watermark.pattern import SIDE, TILE


def to_side(luminance: np.ndarray) -> np.ndarray:
    """`(H, W)` float brought to `SIDE` pixels on its shorter side."""
    height, width = luminance.shape
    scale = SIDE / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(luminance, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def whitened(picture: np.ndarray) -> np.ndarray:
    """`(H, W)` float of about 1: hair and edges would drown the mark."""
    band = cv2.GaussianBlur(picture, (0, 0), 0.8) - cv2.GaussianBlur(picture, (0, 0), 2.5)
    loudness = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 4.0)) + 0.5
    return np.clip(band / loudness, -2.0, 2.0)


def tile_spectrum(picture: np.ndarray) -> np.ndarray:
    """`(TILE, TILE)` complex of the sum of all tiles."""
    height, width = picture.shape
    down, across = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((down * TILE, across * TILE), np.float32)
    padded[:height, :width] = picture
    return np.fft.fft2(padded.reshape(down, TILE, across, TILE).sum(axis=(0, 2)))
