"""What is held out as a benchmark and must not be trained on, under whatever name it comes: known by its bytes, and by what it looks like."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from curation.intake.inspect_file import Examined
from curation.intake.near_duplicates import RECORD, HashTable
from curation.intake.real_clips import BENCHMARK_CLIPS

MANIFEST = "manifest.parquet"
PACKAGED = "the real-clip benchmark"


@dataclass(frozen=True)
class HeldOut:
    """Files of benchmarks.

    Attributes:
        files: sha256 of each file to the benchmark that it is in.
        films: perceptual hash in hex to the benchmark; puppets have none, because two puppets can look alike.
    """

    files: dict[str, str]
    films: dict[str, str]

    def why(self, found: Examined) -> str:
        """Say of a file that it is held out, and how that is known; empty where it is not."""
        if benchmark := self.files.get(found.sha256):
            return f"it is a file of {benchmark}"
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


def held_out(test_sets: Path, puppets: Path) -> HeldOut:
    """Everything that is held out: the packaged clips of the real-clip benchmark, every frozen test set, and the benchmark's puppets.

    Args:
        test_sets: folder of frozen test sets (`curation.snapshot.frozen_sets`).
        puppets: the puppet benchmark's folder.
    """
    files = {clip.sha256: PACKAGED for clip in BENCHMARK_CLIPS}
    films = {clip.phash: PACKAGED for clip in BENCHMARK_CLIPS}
    for name, table in _manifests(test_sets, puppets):
        files |= dict.fromkeys(table["sha256"], name)
        if "phash" in table:
            films |= dict.fromkeys(table["phash"], name)
    return HeldOut(files, films)


def _manifests(test_sets: Path, puppets: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    for path in sorted(test_sets.glob(f"*/{MANIFEST}")):
        yield f"test set {path.parent.name}", pd.read_parquet(path, columns=["sha256", "phash"])
    if (puppets / MANIFEST).is_file():
        yield "the puppet benchmark", pd.read_parquet(puppets / MANIFEST, columns=["sha256"])


def _as_array(hashes: Sequence[bytes]) -> np.ndarray:
    """`(N, 16)` uint8."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1) if hashes else np.zeros((0, 16), np.uint8)
