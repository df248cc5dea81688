"""Put the mark into pictures."""

import cv2
import numpy as np

from provenance.watermark.pattern import carriers, drawn, signs
from provenance.watermark.payload import Payload
from provenance.watermark.whitening import tile_spectrum, to_side, whitened

# Shares of a frequency's own strength. Informed embedding: Malvar and Florencio, "Improved spread spectrum", IEEE Trans. Signal Processing 51(4), 2003.
LEAST, MOST = 0.4, 2.2


def mark(frames: np.ndarray, payload: Payload) -> np.ndarray:
    """Add the mark to `(T, H, W, 3)` uint8 RGB; returns a copy. The same levels in red, green and blue of every frame: luminance alone."""
    if not len(frames):
        return frames.copy()
    height, width = frames.shape[1:3]
    picture = to_side(sum(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in frames) / len(frames))
    spoken = signs(payload)
    levels = drawn(spoken * _shares(picture, spoken), *picture.shape)
    levels = (
        np.rint(cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC))
        .astype(np.int16)[..., None]
        .repeat(3, axis=2)
    )
    added, taken = (np.clip(part, 0, 255).astype(np.uint8) for part in (levels, -levels))
    made = np.empty_like(frames)
    for image, out in zip(frames, made, strict=True):
        cv2.subtract(cv2.add(image, added), taken, dst=out)
    return made


def _shares(picture: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """`(F,)`: more where the picture itself says the opposite, less where it agrees; the finder whitens, so it is asked what it will see."""
    rows, columns = carriers().rows, carriers().columns
    before = tile_spectrum(whitened(picture))[rows, columns]
    after = tile_spectrum(whitened(picture + drawn(spoken, *picture.shape)))[rows, columns]
    reach = float(np.median(((after - before) * spoken.conj()).real))
    return np.clip(1 - (before * spoken.conj()).real / max(reach, 1e-6), LEAST, MOST)
