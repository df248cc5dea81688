"""What is held out as a benchmark and must not be trained on, under whatever name it comes: known by its bytes, and by what it looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from curation.intake.inspect_file import Examined
from curation.intake.near_duplicates import RECORD, HashTable
from curation.intake.real_clips import BENCHMARK_CLIPS
from media.frozen_set import HELD_OUT, MANIFEST, FrozenSetRecord

PACKAGED = "the real-clip benchmark"


@dataclass(frozen=True)
class HeldOut:
    """Files of benchmarks.

    Attributes:
        files: sha256 of each file to the benchmark that it is in.
        films: perceptual hash in hex to the benchmark; puppets have none, because two puppets can look alike.
        own: sha256 of files that may come in though they are a benchmark's: of people who are held out among the workspace's own
            clips. No snapshot lists them, and a shard that is ingested anew has them again.
    """

    files: dict[str, str]
    films: dict[str, str]
    own: frozenset[str] = frozenset()

    def why(self, found: Examined) -> str:
        """Say of a file that it is held out, and how that is known; empty where it is not."""
        if benchmark := self.files.get(found.sha256):
            return f"it is a file of {benchmark}"
        if found.sha256 in self.own:
            return ""
        rows, distances = self._table.nearest(_as_array([piece.phash for piece in found.pieces]))
        for row, distance in zip(rows, distances, strict=True):
            if row >= 0:
                return f"it is nearly the same film as one of {list(self.films.values())[row]} ({distance} of 128 bits differ)"
        return ""

    @cached_property
    def _table(self) -> HashTable:
        records = np.zeros(len(self.films), RECORD)
        records["hash"] = _as_array([bytes.fromhex(film) for film in self.films])
        return HashTable(records)


def held_out(test_sets: Path, benchmarks: Path) -> HeldOut:
    """Everything that is held out: the packaged clips of the real-clip benchmark, every frozen set, and the benchmark's puppets.

    Args:
        test_sets: folder of frozen test sets (`curation.snapshot.frozen_sets`).
        benchmarks: the benchmark's folder: that of the puppets, or one that holds a folder for each benchmark.
    """
    files = {clip.sha256: PACKAGED for clip in BENCHMARK_CLIPS}
    films = {clip.phash: PACKAGED for clip in BENCHMARK_CLIPS}
    own: set[str] = set()
    for path in sorted([*test_sets.glob(f"*/{MANIFEST}"), *benchmarks.glob(f"*/{MANIFEST}"), benchmarks / MANIFEST]):
        if not path.is_file():
            continue
        record = FrozenSetRecord.read_if_there(path.parent)
        name = "the puppet benchmark" if record is None else f"test set {path.parent.name}"
        table = pd.read_parquet(path, columns=["sha256"] if record is None else ["sha256", "phash"])
        if record is not None:
            films |= dict.fromkeys(table["phash"], name)
        if record is not None and record.kind == HELD_OUT:
            own |= set(table["sha256"])
        else:
            files |= dict.fromkeys(table["sha256"], name)
    return HeldOut(files, films, frozenset(own))


def _as_array(hashes: Sequence[bytes]) -> np.ndarray:
    """`(N, 16)` uint8."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1) if hashes else np.zeros((0, 16), np.uint8)
