"""Put the mark into pictures."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from provenance.watermark.pattern import STRENGTH, TILE, carriers, drawn, laid, signs
from provenance.watermark.payload import Payload
from provenance.watermark.whitening import response, tile_spectrum, to_side, whitened

# Shares of a frequency's own strength. Informed embedding: Malvar and Florencio, "Improved spread spectrum", IEEE Trans. Signal Processing 51(4), 2003.
LEAST, MOST = 0.0, 4.0
LOOKED_AT = 8  # frames, spread over all: their mean is close to that of all, which the finder sees
# Levels between a pixel's strongest and weakest channel from which its colour is kept, and pixels of the shorter side at which that is asked.
VIVID, SAMPLED = 96, 64


@dataclass(frozen=True)
class Steps:
    """What the mark changes in every picture of a film.

    Attributes:
        added, taken: `(H, W, 3)` uint8 levels, the same in all three channels: luminance alone.
    """

    added: np.ndarray
    taken: np.ndarray

    def put(self, image: np.ndarray, out: np.ndarray, number: int = 0) -> None:
        """Write `(H, W, 3)` uint8 RGB with the mark to `out`, which `image` itself may be; the same whatever the picture's number."""
        cv2.add(image, self.added, dst=out)
        cv2.subtract(out, self.taken, dst=out)


def mark(frames: np.ndarray, payload: Payload) -> np.ndarray:
    """Add the mark to a copy of `(T, H, W, 3)` uint8 RGB pictures of one film, or of one picture."""
    made = np.empty_like(frames)
    if len(frames):
        steps = steps_for(frames, payload, frames.shape[1:3])
        for image, target in zip(frames, made, strict=True):
            steps.put(image, target)
    return made


def steps_for(frames: np.ndarray, payload: Payload, size: tuple[int, ...]) -> Steps:
    """What says `payload` in these pictures.

    Args:
        frames: `(T, h, w, 3)` uint8 RGB of one film, at least one.
        payload: what it says.
        size: height and width of the pictures that are marked: those of `frames`, or of them enlarged by repeating pixels.
    """
    height, width = size
    enlarged = frames.shape[1:3] != (height, width)
    picture = to_side(_repeated(_mean(frames[:: max(1, len(frames) // LOOKED_AT)]), height, width))
    spoken = signs(payload)
    levels = drawn(spoken * _shares(picture, spoken))
    if picture.shape != (height, width):
        levels = cv2.resize(laid(levels, *picture.shape), (width, height), interpolation=cv2.INTER_CUBIC)
    every = 1 if enlarged else max(1, min(height, width) // SAMPLED)
    up, down = (_repeated(room, height, width) for room in _rooms(frames[:, ::every, ::every]))
    steps = np.rint(levels).astype(np.int8)  # a tenth of what fits
    added, taken = (np.maximum(kind, 0).view(np.uint8) for kind in (steps, -steps))
    if picture.shape == (height, width):
        added, taken = (laid(kind, height, width) for kind in (added, taken))
    return Steps(*(cv2.merge([cv2.min(kind, room)] * 3) for kind, room in ((added, up), (taken, down))))


def _mean(frames: np.ndarray) -> np.ndarray:
    """`(H, W)` float32 luminance."""
    total = np.zeros(frames.shape[1:3], np.float32)
    for image in frames:
        cv2.accumulate(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), total)
    return total / len(frames)


def _rooms(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(H, W)` uint8 each: levels that may be added and taken without paling a vivid colour in any frame; 255 where none is vivid.

    A channel at its end stays there while the others move, up or down: thin things of full colour would lose some of it.
    """
    count, height, width = frames.shape[:3]
    channels = cv2.split(np.ascontiguousarray(frames).reshape(count * height, width, 3))
    highest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    lowest = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
    pale = cv2.threshold(cv2.subtract(highest, lowest), VIVID - 1, 255, cv2.THRESH_BINARY_INV)[1]  # 255 where it is
    up, down = (cv2.max(room, pale).reshape(count, height, width).min(axis=0) for room in (255 - highest, lowest))
    return up, down


def _repeated(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture of one channel, enlarged to this size by repeating pixels."""
    if picture.shape == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)


def _shares(picture: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """`(F,)`: more where the picture itself says the opposite, less where it agrees; the finder whitens, so it is asked what it will see.

    Asked at half the size, which shows the highest of the frequencies still: the answer correlates with that at full size by 0.995, in a third of the time.
    """
    height, width = picture.shape
    half = cv2.resize(
        picture[: height // 2 * 2, : width // 2 * 2], (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    white, gain = whitened(half, added=_added(), scale=0.5)
    rows, columns, seen = _at_half_size()
    before = tile_spectrum(white, TILE // 2)[rows, columns] * seen.conj() / np.abs(seen)
    # What a mark of this strength adds there when all of its frequencies are equally strong.
    reach = STRENGTH * response() * np.abs(seen) * float(gain.sum()) / np.sqrt(2 * len(rows))
    return np.clip(1 - (before * spoken.conj()).real / reach, LEAST, MOST)


@cache
def _added() -> float:
    """Mean square of the mark in the finder's band."""
    return STRENGTH**2 * float(np.mean(response() ** 2))


@cache
def _at_half_size() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the used frequencies, and `(F,)` complex: by how much means of two by two pixels weaken and turn them."""
    chosen = carriers()
    frequency = np.fft.fftfreq(TILE)
    along = [frequency[places] for places in (chosen.rows, chosen.columns)]
    seen = np.prod([np.cos(np.pi * f) * np.exp(1j * np.pi * f) for f in along], axis=0)
    return chosen.rows % (TILE // 2), chosen.columns % (TILE // 2), seen
