"""Put the mark into pictures."""

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from provenance.watermark.pattern import STRENGTH, TILE, carriers, drawn, laid, signs
from provenance.watermark.payload import Payload
from provenance.watermark.whitening import AROUND, MOVING, response, side_of, steady, tile_spectrum, whitened

# Shares of a frequency's own strength. Informed embedding: Malvar and Florencio, "Improved spread spectrum", IEEE Trans. Signal Processing 51(4), 2003.
LEAST, MOST = 0.0, 4.0
LOOKED_AT = 8  # frames, spread over all: their mean is close to that of all, which the finder sees
# Standard deviations over time, in levels: from the first a place is spared; from the second on an encoder takes what is weaker than `STRENGTH`.
SPARED, DRIFTING = 5.0, 1.0
# How much of the mark the finder has to see, in sums of gains over the root of the area: with less than `ENOUGH` where nothing moves, what moves is marked too; with more than `PLENTY`, all is weaker,
# down to `WEAKEST`, below which an encoder takes it whole. Chosen on the 24 people that `benchmarks/provenance/watermark.py` leaves out; docs/results/2026-11-29-marks.md.
ENOUGH, PLENTY, WEAKEST = 7.5, 8.0, 0.75
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
    """What says `payload` in these pictures: as much as they need to be read, first where nothing moves.

    Args:
        frames: `(T, h, w, 3)` uint8 RGB of one film, at least one.
        payload: what it says.
        size: height and width of the pictures that are marked: those of `frames`, or of them enlarged by repeating pixels.
    """
    height, width = size
    enlarged = frames.shape[1:3] != (height, width)
    mean, variance = _over_time(frames[:: max(1, len(frames) // LOOKED_AT)])
    spoken, side = signs(payload), side_of(height, width)
    shares, strengths = _plan(mean, None if len(frames) < LOOKED_AT else variance, spoken, side)
    levels = cv2.multiply(laid(drawn(spoken * shares), *side), cv2.resize(strengths, side[::-1]))
    if side != (height, width):
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    every = 1 if enlarged else max(1, min(height, width) // SAMPLED)
    up, down = (_repeated(room, height, width) for room in _rooms(frames[:, ::every, ::every]))
    added, taken = (
        cv2.addWeighted(levels, sign, levels, 0, 0, dtype=cv2.CV_8U) for sign in (1, -1)
    )  # rounded, none below 0
    return Steps(*(cv2.merge([cv2.min(kind, room)] * 3) for kind, room in ((added, up), (taken, down))))


def _over_time(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(H, W)` float32 luminance: its mean and its variance."""
    count, height, width = frames.shape[:3]
    looked = np.ascontiguousarray(frames).reshape(count * height, width, 3)
    rows = cv2.cvtColor(looked, cv2.COLOR_RGB2GRAY).reshape(count, height * width)
    mean = cv2.reduce(rows, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    squares = cv2.reduce(rows, 0, cv2.REDUCE_SUM2, dtype=cv2.CV_32F)
    variance = squares * np.float32(1 / count) - mean * mean
    return mean.reshape(height, width), variance.reshape(height, width)


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


def _plan(
    mean: np.ndarray, variance: np.ndarray | None, spoken: np.ndarray, side: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """How strong the mark is in each frequency, and where. The finder whitens and looks away from what moves, so it is asked what it will see.

    Asked at half the size, which shows the highest of the frequencies still: the answer correlates with that at full size by 0.995, in a third of the time. What moves is asked at a quarter.

    Args:
        mean, variance: over time, of any size; None where too few frames say what moves, and all is marked.
        spoken: `(F,)` complex, as `signs`.
        side: height and width H and W of the pattern.

    Returns:
        `(F,)`: more where the picture itself says the opposite, less where it agrees.
        `(H / 4, W / 4)` float32, 1 at most: less where it moves, as far as what stands still is enough to be read by; less everywhere where that is more than enough.
    """
    half, quarter = (side[1] // 2, side[0] // 2), (side[1] // 4, side[0] // 4)
    halved = cv2.resize(mean, half, interpolation=cv2.INTER_AREA)
    white, gain = whitened(halved, added=_added(), scale=0.5)
    near = cv2.resize(np.zeros_like(mean) if variance is None else variance, quarter, interpolation=cv2.INTER_AREA)
    seen, spared, still = (steady(near, moving, AROUND // 4 + 1) for moving in (MOVING, SPARED, DRIFTING))
    places = cv2.resize(gain, quarter, interpolation=cv2.INTER_AREA)
    area = 2 / math.sqrt(places.size)  # noise goes with the root of the area; a place here is four of the picture asked
    floor, share = 1.0, 1.0
    if variance is not None:
        floor, share = _needed(area * float((places * seen).sum()), area * float((places * still).sum()))
    strengths = spared * np.float32(share * (1 - floor)) + np.float32(share * floor)
    rows, columns, kept = _at_half_size()
    before = tile_spectrum(white * cv2.resize(seen, half), TILE // 2)[rows, columns] * kept.conj() / np.abs(kept)
    # What the mark adds there when all of its frequencies are equally strong.
    reach = (
        STRENGTH * response() * np.abs(kept) * 4 * float((places * seen * strengths).sum()) / math.sqrt(2 * len(rows))
    )
    return np.clip(1 - (before * spoken.conj()).real / reach, LEAST, MOST), strengths


def _needed(everywhere: float, still: float) -> tuple[float, float]:
    """Shares of `STRENGTH`: of what moves beside what stands still, and of both; `everywhere` and `still` are what the finder would see, as `ENOUGH`."""
    floor = min(1.0, max(0.0, (ENOUGH - still) / (everywhere - still + 1e-6)))
    return floor, min(1.0, max(WEAKEST, PLENTY / (floor * everywhere + (1 - floor) * still + 1e-6)))


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
