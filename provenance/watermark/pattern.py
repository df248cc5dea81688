"""The tile that is repeated over the picture: which frequencies are always the same and which carry the payload."""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np

from provenance.watermark.payload import CODED, Payload, encode

SIDE = 256  # of the picture's shorter side, in the pattern's own pixels: a scaled picture has the same pattern
TILE = 128  # pixels after which it repeats
# Cycles per tile: lower ones can be seen, higher ones are the first that an encoder or a smaller size takes away.
LOWEST, HIGHEST = 7.0, 22.0
SYNC_SHARE = 0.25  # of the frequencies
STRENGTH = 2.45  # root mean square in levels of 255: 40.3 dB, less what clipping takes
SEED = 0x0C2A  # of phases and shares; another one is another mark


@dataclass(frozen=True)
class Carriers:
    """Half of the tile's plane of frequencies, as indices into its spectrum.

    Attributes:
        rows, columns: `(F,)` of each frequency that is used.
        phases: `(F,)` complex of modulus 1.
        symbols: `(F,)` which coded symbol it carries, -1 for those that are always the same.
    """

    rows: np.ndarray
    columns: np.ndarray
    phases: np.ndarray
    symbols: np.ndarray


@cache
def carriers() -> Carriers:
    """The same on every machine."""
    frequency = np.fft.fftfreq(TILE, 1 / TILE)
    down, across = np.meshgrid(frequency, frequency, indexing="ij")
    radius = np.hypot(down, across)
    upper = (down > 0) | ((down == 0) & (across > 0))  # the other half follows: pictures are real
    rows, columns = np.nonzero(upper & (radius >= LOWEST) & (radius <= HIGHEST))
    random = np.random.Generator(np.random.PCG64(SEED))
    order = random.permutation(len(rows))
    rows, columns = rows[order], columns[order]
    phases = np.exp(2j * np.pi * random.random(len(rows)))
    symbols = np.arange(len(rows)) % CODED
    symbols[: round(SYNC_SHARE * len(rows))] = -1
    return Carriers(rows, columns, phases, symbols)


@lru_cache(16)
def signs(payload: Payload) -> np.ndarray:
    """`(F,)` complex of modulus 1: what each frequency says."""
    chosen = carriers()
    return np.where(chosen.symbols < 0, 1.0, encode(payload.bits())[chosen.symbols]) * chosen.phases


def drawn(spoken: np.ndarray) -> np.ndarray:
    """`(TILE, TILE)` float32, in the pattern's own pixels, of root mean square `STRENGTH`; `spoken` is `(F,)` complex, as `signs`."""
    chosen = carriers()
    spectrum = np.zeros((TILE, TILE), np.complex64)
    spectrum[chosen.rows, chosen.columns] = spoken
    spectrum[-chosen.rows, -chosen.columns] = spoken.conj()
    tile = cv2.idft(spectrum.view(np.float32).reshape(TILE, TILE, 2), flags=cv2.DFT_REAL_OUTPUT)
    scaled: np.ndarray = tile * (STRENGTH * TILE / cv2.norm(tile))  # its mean is 0
    return scaled


def laid(tile: np.ndarray, height: int, width: int) -> np.ndarray:
    """`(height, width)`: a tile, repeated from the upper left corner on."""
    return cv2.repeat(tile, -(-height // TILE), -(-width // TILE))[:height, :width]
