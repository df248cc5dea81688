"""faiss against curation's own index of hashes: `pip install --no-deps faiss-cpu`, `python -m benchmarks.libraries.faiss_near_duplicates`."""

import time
from collections.abc import Callable

import faiss
import numpy as np

from benchmarks.curation.near_duplicates import simulated
from curation.intake.near_duplicates import DISTANCE, HashTable

SIZES = ((1_000_000, 256), (1_000_000, 1024), (4_000_000, 256))  # hashes, and how many are asked for
CHUNK = 65_536


def own(records: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Multi-index hashing, as in the product."""
    return HashTable(records).nearest(asked)[0]


def faiss_flat(records: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Every hash is compared."""
    index = faiss.IndexBinaryFlat(128)
    index.add(np.ascontiguousarray(records["hash"]))
    return _nearest(index, asked)


def faiss_multi_hash(records: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The same eight bands of 16 bits as our own."""
    index = faiss.IndexBinaryMultiHash(128, 8, 16)
    index.nflip = 1
    index.add(np.ascontiguousarray(records["hash"]))
    return _nearest(index, asked)


def numpy_flat(records: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Every hash is compared, as two words of 64 bits."""
    words, wanted = np.ascontiguousarray(records["hash"]).view(np.uint64), np.ascontiguousarray(asked).view(np.uint64)
    rows, best = np.full(len(wanted), -1), np.full(len(wanted), DISTANCE + 1)
    for start in range(0, len(words), CHUNK):
        first, second = words[start : start + CHUNK].T.copy()
        for number, (a, b) in enumerate(wanted):
            apart = np.bitwise_count(first ^ a) + np.bitwise_count(second ^ b)
            nearest = int(apart.argmin())
            if apart[nearest] < best[number]:
                best[number], rows[number] = apart[nearest], start + nearest
    return rows


def _nearest(index: faiss.IndexBinary, asked: np.ndarray) -> np.ndarray:
    ends, distances, found = index.range_search(asked, DISTANCE + 1)
    rows = np.full(len(asked), -1)
    for number in range(len(asked)):
        near = slice(int(ends[number]), int(ends[number + 1]))
        if near.start < near.stop:
            rows[number] = found[near][distances[near] == distances[near].min()].min()
    return rows


def main() -> None:
    """CPU seconds to make the index and to ask it, on one thread; all must find the same rows."""
    faiss.omp_set_num_threads(1)
    ways: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (own, faiss_flat, faiss_multi_hash, numpy_flat)
    for clips, count in SIZES:
        records, asked, _ = simulated(clips, count)
        expected = own(records, asked)
        for way in ways:
            began = time.process_time()
            rows = way(records, asked)
            seconds = time.process_time() - began
            same = np.array_equal(rows, expected)
            print(f"{clips:>9,} hashes, {count:>5} asked, {way.__name__:<17} {seconds:6.2f} s, same rows: {same}")


if __name__ == "__main__":
    main()
