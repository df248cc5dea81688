"""Which rows of a shard's features stand already, part by part: a part is what one encoder makes of a sample.

They stand in the features that were made before, and in pieces: what a build that was killed had encoded by then.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from curation.features.feature_files import features_file
from curation.features.training_samples import Sample
from curation.tables.storage import read_table
from media import whole_file

Stored = tuple[Path, int]  # file and row
# The tensors of each part. Keypoints come from the scores each time: they are not encoded.
PARTS = {
    "latents": ("latents", "reference_latents", "motion_latents", "has_motion"),
    "audio": ("audio", "has_audio"),
    "text": ("text",),
}
DECODED = frozenset({"latents", "audio"})  # parts for which the clip is looked into
PIECE_SECONDS = 60.0  # the most work that a kill costs
KEYS = "keys"


@dataclass(frozen=True)
class FeatureCache:
    """The feature keys of the features that were there, in order, and for each part where a key's row is."""

    order: tuple[str, ...]
    stored: dict[str, dict[str, Stored]]

    @classmethod
    def of(cls, folder: Path, pieces: Path | None = None) -> "FeatureCache":
        """Of finished features, which count only if every file that samples.parquet names is there, and of pieces."""
        stored: dict[str, dict[str, Stored]] = {part: {} for part in PARTS}
        for path in sorted(pieces.glob("*.safetensors")) if pieces is not None else []:
            for part, keys in _keys_of_piece(path).items():
                stored[part] |= {key: (path, row) for row, key in enumerate(keys)}
        if not (folder / "samples.parquet").is_file():
            return cls((), stored)
        table = read_table(folder / "samples.parquet")
        if not {"bucket", "row"} <= set(table.columns):  # made before there were buckets
            return cls((), stored)
        if not all(features_file(folder, bucket).is_file() for bucket in table["bucket"].unique()):
            return cls((), stored)
        rows = [(features_file(folder, b), row) for b, row in zip(table["bucket"], table["row"].tolist(), strict=True)]
        for part in PARTS:
            # A sample's whole key stands for each of its parts: a table that was made before there were parts has no other.
            for column in (name for name in ("feature_key", f"{part}_key") if name in table):
                stored[part] |= dict(zip(table[column], rows, strict=True))
        return cls(tuple(table["feature_key"]), stored)

    def find(self, part: str, sample: Sample) -> Stored | None:
        """Where this part of a sample stands, if it does."""
        stored = self.stored[part]
        return stored.get(sample.part_keys[part]) or stored.get(sample.feature_key)

    def lacking(self, sample: Sample) -> frozenset[str]:
        """The parts that are to be computed."""
        return frozenset(part for part in PARTS if self.find(part, sample) is None)

    def copy(self, samples: Iterable[Sample], arrays: Mapping[str, np.ndarray]) -> None:
        """Bring every part that stands into the row of its sample; `samples` are in the order of the rows."""
        found: dict[tuple[Path, str], list[tuple[int, int]]] = {}
        for row, sample in enumerate(samples):
            for part in PARTS:
                place = self.find(part, sample)
                if place is not None:
                    found.setdefault((place[0], part), []).append((row, place[1]))
        for (path, part), rows in found.items():
            with safe_open(path, "np") as file:
                for name in PARTS[part]:
                    old = file.get_slice(name)
                    for row, old_row in rows:
                        arrays[name][row] = old[old_row : old_row + 1][0]


def _keys_of_piece(path: Path) -> dict[str, list[str]]:
    try:
        with safe_open(path, "np") as file:
            return json.loads(file.metadata()[KEYS])
    except SafetensorError:
        path.unlink()  # only a build writes here: a damaged piece is work to do again, not data lost
        return {}


class PieceKeeper:
    """Writes what was computed of one bucket into a piece whenever a minute has passed."""

    def __init__(self, folder: Path, bucket: str):
        self._folder, self._bucket = folder, bucket
        self._clear()

    def add(self, part: str, samples: Iterable[Sample], tensors: Mapping[str, np.ndarray]) -> None:
        """Keep the rows of one part of these samples."""
        self._keys.setdefault(part, []).extend(sample.part_keys[part] for sample in samples)
        for name, rows in tensors.items():
            self._tensors.setdefault(name, []).append(rows)
        if time.monotonic() - self._since >= PIECE_SECONDS:
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._folder / f"{self._bucket}-{time.time_ns()}.safetensors") as temporary:
                whole = {name: np.concatenate(rows) for name, rows in self._tensors.items()}
                save_file(whole, temporary, {KEYS: json.dumps(self._keys)})
            self._clear()

    def _clear(self) -> None:
        self._since = time.monotonic()
        self._keys: dict[str, list[str]] = {}
        self._tensors: dict[str, list[np.ndarray]] = {}
