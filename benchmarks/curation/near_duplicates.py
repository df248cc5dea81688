"""Near-duplicate search at scale: a shard's clips asked for among a million others, copies planted among them."""

import resource
import time
from dataclasses import dataclass

import numpy as np

from curation.intake.near_duplicates import DISTANCE, RECORD, HashTable


@dataclass(frozen=True)
class SearchTimes:
    """Seconds to make the table of `clips` hashes and to ask it for `asked`; what was planted, found, and found wrongly."""

    clips: int
    asked: int
    table_seconds: float
    search_seconds: float
    planted: int
    found: int
    wrong: int
    peak_gib: float


def simulated(clips: int, asked: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Records, `(asked, 16)` hashes to ask for, and how many of these, the first ones, are copies of a record.

    Bits are not even, as those of films are not: each leans to one side, neighbours hang together.
    """
    rng = np.random.default_rng(seed)
    # 2000 kinds of scene; a clip of a kind differs from it in a fifth of the bits.
    kinds = rng.random((2000, 128)) < rng.uniform(0.2, 0.8, 128)
    records = np.zeros(clips, RECORD)
    for start in range(0, clips, 100_000):
        count = min(100_000, clips - start)
        bits = kinds[rng.integers(0, len(kinds), count)] ^ (rng.random((count, 128)) < 0.2)
        records["hash"][start : start + count] = np.packbits(bits, axis=1)
    copies = rng.choice(clips, asked // 2, replace=False)
    wanted = np.packbits(kinds[rng.integers(0, len(kinds), asked)] ^ (rng.random((asked, 128)) < 0.2), axis=1)
    wanted[: len(copies)] = records["hash"][copies]
    for number in range(len(copies)):
        for bit in rng.choice(128, number % (DISTANCE + 1), replace=False):
            wanted[number, bit // 8] ^= 1 << (bit % 8)
    return records, wanted, len(copies)


def search_million(clips: int = 1_000_000, asked: int = 1024, seed: int = 0) -> SearchTimes:
    """Ask for the hashes of a shard's clips among a million others."""
    records, wanted, copies = simulated(clips, asked, seed)
    started = time.perf_counter()
    table = HashTable(records)
    made = time.perf_counter()
    rows, distances = table.nearest(wanted)
    done = time.perf_counter()
    apart = np.bitwise_count(records["hash"][np.maximum(rows, 0)] ^ wanted).sum(axis=1)
    return SearchTimes(
        clips=clips,
        asked=asked,
        table_seconds=made - started,
        search_seconds=done - made,
        planted=copies,
        found=int((rows[:copies] >= 0).sum()),
        wrong=int((apart[rows >= 0] > DISTANCE).sum()),
        peak_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    )


if __name__ == "__main__":
    print(search_million())
