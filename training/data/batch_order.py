"""In which order samples are trained on: buckets take turns, each goes through its own samples epoch by epoch.

Everything here is a function of the batch's number alone, so that a resume needs that number and nothing else, and any
number of ranks sees the same batches.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import numpy as np


@dataclass
class Stream:
    """Samples of one bucket, as videos or as first frames, without an end: a fresh permutation each epoch.

    A batch takes the next `batch_size` positions; where an epoch's samples run out it goes on with the next epoch's, so
    that no tail is dropped and every sample is seen once an epoch.

    Attributes:
        bucket: its name.
        image: first frames alone.
        rows: `(n,)` of the subset's table.
        batch_size: samples a batch.
        tokens: of one sample, packed ones counted too.
        entropy: seed words that tell this stream from the others.
    """

    bucket: str
    image: bool
    rows: np.ndarray
    batch_size: int
    tokens: int
    entropy: tuple[int, ...] = ()
    _orders: dict[int, np.ndarray] = field(default_factory=dict)

    def rows_at(self, first: int, count: int, seed: int) -> list[int]:
        """Rows of the table at positions `first` to `first + count - 1`."""
        rows = []
        for position in range(first, first + count):
            epoch, offset = divmod(position, len(self.rows))
            rows.append(int(self.rows[self._order(epoch, seed)[offset]]))
        return rows

    def _order(self, epoch: int, seed: int) -> np.ndarray:
        if epoch not in self._orders:
            kept = {e: before for e, before in self._orders.items() if e == epoch - 1}
            order = np.random.default_rng([seed, 1, epoch, *self.entropy]).permutation(len(self.rows))
            self._orders = kept | {epoch: order}
        return self._orders[epoch]


def stream_entropy(bucket: str, image: bool) -> tuple[int, ...]:
    """Seed words that depend on the name, not on which other buckets there are."""
    return (int.from_bytes(hashlib.sha256(bucket.encode()).digest()[:8], "big"), int(image))


class Turns:
    """An endless order in which streams take turns in proportion to their batches an epoch.

    Stream i has its turns at the times (j + 1/2) / weight_i (Sainte-Lague): at every moment each has had its share,
    rounded, and their epochs end together to within a batch.
    """

    def __init__(self, streams: Sequence[Stream]):
        self.weights = [Fraction(len(stream.rows), stream.batch_size) for stream in streams]
        self._turns: list[tuple[int, int]] = []
        self._had = [0] * len(streams)

    def turn(self, number: int) -> tuple[int, int]:
        """Whose turn `number` is, and how many it had before."""
        if len(self.weights) == 1:
            return 0, number
        while len(self._turns) <= number:
            times = [(2 * had + 1) / weight for had, weight in zip(self._had, self.weights, strict=True)]
            whose = times.index(min(times))
            self._turns.append((whose, self._had[whose]))
            self._had[whose] += 1
        return self._turns[number]

    def had(self, number: int) -> list[int]:
        """How many of the first `number` turns each had."""
        if len(self.weights) == 1:
            return [number]
        whose = Counter(self.turn(earlier)[0] for earlier in range(number))
        return [whose[index] for index in range(len(self.weights))]


class BatchOrder:
    """Which stream batch `number` takes its samples from, and at which position."""

    def __init__(self, streams: Sequence[Stream], image_share: float):
        self.videos = [stream for stream in streams if not stream.image]
        self.images = [stream for stream in streams if stream.image]
        # The share as it is written, not as binary: 0.29 of 100 batches are 29.
        self.image_share = Fraction(str(image_share)) if self.images else Fraction(0)
        self._turns = {False: Turns(self.videos), True: Turns(self.images)}

    def place(self, number: int) -> tuple[Stream, int]:
        """Stream and first position of batch `number`."""
        before = floor(number * self.image_share)
        image = floor((number + 1) * self.image_share) > before
        turn = before if image else number - before
        whose, had = self._turns[image].turn(turn)
        stream = (self.images if image else self.videos)[whose]
        return stream, had * stream.batch_size

    def consumed(self, number: int) -> int:
        """Samples in the first `number` batches."""
        images = floor(number * self.image_share)
        pairs = [
            *zip(self.videos, self._turns[False].had(number - images), strict=True),
            *zip(self.images, self._turns[True].had(images), strict=True),
        ]
        return sum(stream.batch_size * had for stream, had in pairs)
