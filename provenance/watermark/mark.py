"""Put the mark into pictures."""

import cv2
import numpy as np

from provenance.watermark.pattern import STRENGTH, carriers, drawn, signs
from provenance.watermark.payload import Payload
from provenance.watermark.whitening import response, tile_spectrum, to_side, whitened

# Shares of a frequency's own strength. Informed embedding: Malvar and Florencio, "Improved spread spectrum", IEEE Trans. Signal Processing 51(4), 2003.
LEAST, MOST = 0.0, 4.0
LOOKED_AT = 8  # frames, spread over all: their mean is close to that of all, which the finder sees


def mark(frames: np.ndarray, payload: Payload) -> np.ndarray:
    """Add the mark to `(T, H, W, 3)` uint8 RGB; returns a copy. The same levels in red, green and blue of every frame: luminance alone."""
    if not len(frames):
        return frames.copy()
    height, width = frames.shape[1:3]
    picture = to_side(_mean(frames[:: max(1, len(frames) // LOOKED_AT)]))
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


def _mean(frames: np.ndarray) -> np.ndarray:
    """`(H, W)` float32 luminance."""
    total = np.zeros(frames.shape[1:3], np.float32)
    for image in frames:
        cv2.accumulate(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), total)
    return total / len(frames)


def _shares(picture: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """`(F,)`: more where the picture itself says the opposite, less where it agrees; the finder whitens, so it is asked what it will see."""
    kept = response()
    white, gain = whitened(picture, added=STRENGTH**2 * float(np.mean(kept**2)))
    before = tile_spectrum(white)[carriers().rows, carriers().columns]
    # What a mark of this strength adds there when all of its frequencies are equally strong.
    reach = STRENGTH * kept * float(gain.sum()) / np.sqrt(2 * len(kept))
    return np.clip(1 - (before * spoken.conj()).real / reach, LEAST, MOST)
