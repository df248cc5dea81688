"""What the mark says, as bits that survive errors: 32 bits and a check sum, under a convolutional code."""

import binascii
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np

FIRST_DAY = date(2026, 1, 1)
VERSION_BITS, DAY_BITS, CHECK_BITS = 16, 16, 16
LENGTH = VERSION_BITS + DAY_BITS + CHECK_BITS
# Constraint length 9, rate 1/4, free distance 24: generators 463, 535, 733 and 745 octal (Proakis, Digital Communications, table 8.2-3).
MEMORY, GENERATORS = 8, (0o463, 0o535, 0o733, 0o745)
CODED = (LENGTH + MEMORY) * len(GENERATORS)


@dataclass(frozen=True)
class Payload:
    """Which model's pictures, and when they were made.

    Attributes:
        version: of the registered model, 0 for one from a folder; of larger numbers the lowest 16 bits.
        day: in UTC, 2026 to 2205.
    """

    version: int
    day: date

    def bits(self) -> np.ndarray:
        """`(LENGTH,)` of 0 and 1."""
        words = (self.version % 2**VERSION_BITS).to_bytes(2, "big") + (self.day - FIRST_DAY).days.to_bytes(2, "big")
        data = words + binascii.crc_hqx(words, 0xFFFF).to_bytes(2, "big")
        return np.unpackbits(np.frombuffer(data, np.uint8))

    @classmethod
    def from_bits(cls, bits: np.ndarray) -> "Payload | None":
        """None where the check sum does not fit."""
        data = np.packbits(bits.astype(np.uint8)).tobytes()
        if binascii.crc_hqx(data[:4], 0xFFFF).to_bytes(2, "big") != data[4:6]:
            return None
        return cls(int.from_bytes(data[:2], "big"), FIRST_DAY + timedelta(days=int.from_bytes(data[2:4], "big")))


def encode(bits: np.ndarray) -> np.ndarray:
    """`(CODED,)` of -1 and 1 for bits; the encoder ends in the state in which it began."""
    register, symbols = 0, []
    for bit in (*bits.tolist(), *[0] * MEMORY):
        register = (register << 1 | int(bit)) & (2 ** (MEMORY + 1) - 1)
        symbols += [(register & generator).bit_count() & 1 for generator in GENERATORS]
    return 2.0 * np.array(symbols) - 1.0


def decode(soft: np.ndarray) -> np.ndarray:
    """The likeliest bits behind `(CODED,)` soft symbols (Viterbi's algorithm)."""
    states, before, symbols = _trellis()
    metric = np.where(np.arange(states) == 0, 0.0, -np.inf)
    chosen = []
    for step in soft.reshape(-1, len(GENERATORS)):
        # (states, 2): the two ways into each state.
        ways = metric[before] + symbols @ step
        best = ways.argmax(axis=1)
        chosen.append(best)
        metric = ways[np.arange(states), best]
    state, bits = 0, []
    for best in reversed(chosen):
        bits.append(state & 1)
        state = int(before[state, best[state]])
    return np.array(bits[::-1][:LENGTH])


@cache
def _trellis() -> tuple[int, np.ndarray, np.ndarray]:
    """Number of states; `(states, 2)` which state came before; `(states, 2, 4)` what was sent on the way."""
    states = 2**MEMORY
    after = np.arange(states)
    before = np.stack([after >> 1, after >> 1 | states >> 1], axis=1)
    registers = before << 1 | (after & 1)[:, None]
    parities = [[[(int(r) & g).bit_count() & 1 for g in GENERATORS] for r in row] for row in registers]
    return states, before, 2.0 * np.array(parities) - 1.0
