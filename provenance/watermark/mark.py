"""Put the mark into pictures."""

import cv2
import numpy as np

from provenance.watermark.pattern import STRENGTH, carriers, drawn, signs
from provenance.watermark.payload import Payload
from provenance.watermark.whitening import response, tile_spectrum, to_side, whitened

# Shares of a frequency's own strength. Informed embedding: Malvar and Florencio, "Improved spread spectrum", IEEE Trans. Signal Processing 51(4), 2003.
LEAST, MOST = 0.0, 4.0
LOOKED_AT = 8  # frames, spread over all: their mean is close to that of all, which the finder sees


def mark(frames: np.ndarray, payload: Payload, out: np.ndarray | None = None) -> np.ndarray:
    """Add the mark to `(T, H, W, 3)` uint8 RGB. The same levels in red, green and blue of every frame: luminance alone.

    Args:
        frames: pictures of one film, or one picture.
        payload: what it says.
        out: where the marked pictures go, `frames` itself too; a new array by default.

    Returns:
        `out`.
    """
    made = np.empty_like(frames) if out is None else out
    if not len(frames):
        return made
    height, width = frames.shape[1:3]
    picture = to_side(_mean(frames[:: max(1, len(frames) // LOOKED_AT)]))
    spoken = signs(payload)
    levels = drawn(spoken * _shares(picture, spoken), *picture.shape)
    if levels.shape != (height, width):
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    steps = cv2.merge([np.rint(levels).astype(np.int16)] * 3)
    added, taken = (np.clip(part, 0, 255).astype(np.uint8) for part in (steps, -steps))
    for image, target in zip(frames, made, strict=True):
        cv2.add(image, added, dst=target)
        cv2.subtract(target, taken, dst=target)
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
