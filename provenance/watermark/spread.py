"""Our payload over the bits of a published network: the pattern's code, in as many pictures in turn as it takes."""

from dataclasses import dataclass

import numpy as np

from provenance.watermark.payload import CODED, Payload, decode, encode

MOST = 16  # pictures in turn: a window of the smallest profile has 17
LEAST_BITS = -(-CODED // (MOST // 2))
# Of the correlation between answers and what they decode to: what noise decodes to reaches 0.6 where all symbols were read (tests/provenance/test_network_mark.py).
AGREEMENT = 0.68


def turns_of(bits: int) -> int:
    """Pictures of so many bits until all symbols were said, each once as it is and once turned round."""
    return 2 * -(-CODED // bits)


@dataclass(frozen=True)
class Spread:
    """Which of the coded symbols each picture carries.

    Of each two pictures the second says the contrary of the first. What a decoder answers of the picture itself, whatever was put in, is alike in both and drops out of their difference: of
    RivaGAN's it is several times what the bits are. Pair `k` carries the symbols `k` modulo the number of pairs, and every so many from there: an even share of the
    whole code, so a pair that is lost is a few errors everywhere.

    Attributes:
        bits: that the network puts into one picture, `LEAST_BITS` at least.
    """

    bits: int

    @property
    def turns(self) -> int:
        """Pictures after which it begins again."""
        return turns_of(self.bits)

    def symbols_of(self, turn: int) -> np.ndarray:
        """`(bits,)`: which symbols; those of a network with room to spare stand in it more than once."""
        pairs = self.turns // 2
        return (turn // 2 % pairs + pairs * np.arange(self.bits)) % CODED

    def said(self, payload: Payload, turn: int) -> np.ndarray:
        """`(bits,)` of 0 and 1."""
        symbols: np.ndarray = (encode(payload.bits())[self.symbols_of(turn)] > 0) ^ bool(turn % 2)
        return symbols.astype(np.float32)

    def read(self, answers: np.ndarray) -> tuple[float, Payload | None]:
        """How well the answers agree with what they decode to, 1 at most, and the payload, None where no check sum fits or they do not agree.

        Args:
            answers: `(T, bits)` of pictures one after another, above 0 for a 1; the first may be of any turn.
        """
        found = [self._read_from(answers, first) for first in range(self.turns)]
        return max(found, key=lambda one: (one[1] is not None, one[0]))

    def _read_from(self, answers: np.ndarray, first: int) -> tuple[float, Payload | None]:
        # (2, CODED): as it is, and turned round.
        total, count = np.zeros((2, CODED)), np.zeros((2, CODED))
        for turn, row in enumerate(answers, first):
            np.add.at(total[turn % 2], self.symbols_of(turn), row)
            np.add.at(count[turn % 2], self.symbols_of(turn), 1)
        straight, contrary = total / np.maximum(count, 1)
        soft = straight - contrary
        # Answers have long tails: a few loud ones would speak for all.
        soft = np.tanh(soft / (np.abs(soft).mean() + 1e-12))
        bits = decode(soft)
        read = int((count.sum(axis=0) > 0).sum())
        agreement = float((encode(bits) * soft).sum() / (np.sqrt((soft * soft).sum() * max(1, read)) + 1e-12))
        payload = Payload.from_bits(bits)
        return agreement, payload if agreement >= AGREEMENT else None
