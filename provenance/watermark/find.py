"""Look for the mark: bring what may be a cut and scaled picture back into register, then read the payload."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from provenance.watermark.pattern import TILE, carriers
from provenance.watermark.payload import CODED, Payload, decode, encode
from provenance.watermark.whitening import AROUND, MOVING, steady, tile_spectrum, to_side, whitened

# How much smaller the pattern's pixels are looked for than the picture says: one that was cut shows less of the pattern on as many pixels.
SCALES = np.exp(0.01 * np.arange(-36, 6))
REFINED = (-0.005, -0.0025, 0.0, 0.0025, 0.005)
# Weight of the first frame beside the mean of all: an encoder keeps what moves in that one, and predicts the others from it. Chosen on the 24 people that `benchmarks/provenance/watermark.py` leaves out.
FIRST = 0.5
TRIED = 8  # best registers whose payload is read
# Of the correlation between what was read and what it decodes to, in standard deviations of noise.
THRESHOLD = 9.0


@dataclass(frozen=True)
class Found:
    """The best register.

    Attributes:
        score: how far the whole mark stands out of noise, in its standard deviations; meaningless without a payload.
        payload: None where no check sum fits.
        scale: of the pattern beside that of an uncut picture.
        shift: of its origin, rows and columns of the tile.
    """

    score: float
    payload: Payload | None
    scale: float
    shift: tuple[int, int]

    @property
    def marked(self) -> bool:
        """Whether the mark is there."""
        return self.payload is not None and self.score >= THRESHOLD

    @property
    def in_place(self) -> bool:
        """Whether it lies as it was put in, to a hundredth and two of its pixels: the picture was not cut."""
        return abs(self.scale - 1) < 0.012 and all(min(step, TILE - step) <= 2 for step in self.shift)


def find(frames: Iterable[np.ndarray]) -> Found:
    """Look for the mark in `(H, W, 3)` uint8 RGB frames of one size."""
    total: Any = 0.0
    squares: Any = 0.0
    first: np.ndarray | None = None
    count = 0
    for frame in frames:
        luminance = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        first = luminance if first is None else first
        total = total + luminance
        squares = squares + luminance * luminance
        count += 1
    if first is None:
        return Found(0.0, None, 1.0, (0, 0))
    mean = total / count
    band = whitened(to_side(mean))[0]
    beside = FIRST * whitened(to_side(first))[0]
    found = _find_in(band * steady(to_side(squares / count - mean * mean), MOVING, AROUND) + beside)
    # Where next to nothing stands still, all of the mean says more.
    return found if found.marked else max(found, _find_in(band + beside), key=_rank)


def _find_in(picture: np.ndarray) -> Found:
    found = _read_near(picture, 1.0)
    if found.marked:  # uncut, as most are
        return found
    coarse = sorted(((*_register(_spectrum(picture, scale)), scale) for scale in SCALES), key=lambda row: -row[0])
    tried = [found, *(_read_near(picture, scale) for _, _, scale in coarse[:TRIED])]
    return max(tried, key=_rank)


def _rank(found: Found) -> tuple[bool, float]:
    return found.payload is not None, found.score


def _read_near(picture: np.ndarray, scale: float) -> Found:
    scales = [scale * float(np.exp(step)) for step in REFINED]
    fine = [(*_register(_spectrum(picture, near)), near) for near in scales]
    _, shift, exact = max(fine, key=lambda row: row[0])
    return _read(_spectrum(picture, exact), shift, exact)


def _spectrum(picture: np.ndarray, scale: float) -> np.ndarray:
    """`(TILE, TILE)` complex of the picture laid over itself tile by tile, with every frequency equally loud."""
    height, width = (round(side * scale) for side in picture.shape)
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    spectrum = tile_spectrum(scaled)
    used = np.abs(spectrum[carriers().rows, carriers().columns])
    return spectrum / (np.abs(spectrum) + 0.5 * np.median(used) + 1e-6)  # a blank picture has none at all


def _register(spectrum: np.ndarray) -> tuple[float, tuple[int, int]]:
    """How well the constant frequencies fit at the best shift, in standard deviations, and that shift."""
    correlation = np.fft.ifft2(spectrum * _constant()).real
    place = int(correlation.argmax())
    return float(correlation.flat[place] / (correlation.std() + 1e-12)), (place // TILE, place % TILE)


@cache
def _constant() -> np.ndarray:
    chosen = carriers()
    same = chosen.symbols < 0
    spectrum = np.zeros((TILE, TILE), np.complex128)
    spectrum[chosen.rows[same], chosen.columns[same]] = chosen.phases[same].conj()
    spectrum[-chosen.rows[same], -chosen.columns[same]] = chosen.phases[same]
    return spectrum


def _read(spectrum: np.ndarray, shift: tuple[int, int], scale: float) -> Found:
    chosen = carriers()
    turned = np.exp(2j * np.pi * (chosen.rows * shift[0] + chosen.columns * shift[1]) / TILE)
    values = (spectrum[chosen.rows, chosen.columns] * turned * chosen.phases.conj()).real
    coded = chosen.symbols >= 0
    soft = np.bincount(chosen.symbols[coded], values[coded], CODED)
    bits = decode(soft)
    payload = Payload.from_bits(bits)
    signs = np.where(coded, encode(bits)[chosen.symbols], 1.0)
    noise = np.sqrt((values * values).sum()) + 1e-12
    return Found(float((signs * values).sum() / noise), payload, scale, shift)
