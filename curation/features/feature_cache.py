"""Which rows of a shard's features stand already, part by part: a part is what one encoder makes of a sample.

They stand in the features that were made before, in either layout, and in pieces: what a build that was killed had encoded by then.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from curation.features.feature_writer import BucketWriter, RowShapes
from curation.features.training_samples import Sample
from curation.tables.storage import read_table, read_table_metadata
from media import whole_file
from media.features.places import SCALE, file_named, parts_of
from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles
from media.records import EncodersRecord

# The tensors of each part. Keypoints come from the scores each time: they are not encoded.
PARTS = {
    "latents": ("latents", "reference_latents", "motion_latents", "has_motion"),
    "audio": ("audio", "has_audio"),
    "text": ("text",),
}
DECODED = frozenset({"latents", "audio"})  # parts for which the clip is looked into
PIECE_SECONDS = 60.0  # the most work that a kill costs
KEYS = "keys"
STATES = "audio_states"
States = tuple[int, ...] | None  # numbers of an encoder's hidden states; None is all of them
ROWS_AT_ONCE = 16


class Source(Protocol):
    """Where encoded rows stand."""

    def read(self, part: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """The tensors of a part of these rows, as they are kept."""


@dataclass(frozen=True)
class BucketSource:
    """One bucket of finished features. `picked`: places of the hidden states to read among those that are kept; none is all."""

    shard: ShardRows
    bucket: str
    picked: tuple[int, ...] = ()

    def read(self, part: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """The tensors of a part, latents of 8 bits with their scales."""
        found: dict[str, np.ndarray] = {}
        for name in PARTS[part]:
            found[name], scale = self.shard.read(self.bucket, name, rows)
            if scale is not None:
                found[name + SCALE] = scale
        return _pick(found, self.picked)


@dataclass(frozen=True)
class Piece:
    """What a killed build had encoded of one part or several; `picked` as of a bucket."""

    path: Path
    picked: tuple[int, ...] = ()

    def read(self, part: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """The tensors of a part."""
        with safe_open(self.path, "np") as file:
            slices = {name: file.get_slice(name) for name in PARTS[part]}
            found = {name: np.stack([old[row : row + 1][0] for row in rows]) for name, old in slices.items()}
            return _pick(found, self.picked)


def _pick(found: dict[str, np.ndarray], picked: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {**found, "audio": found["audio"][:, :, list(picked)]} if picked and "audio" in found else found


def _among(wanted: States, kept: States) -> tuple[int, ...] | None:
    """Places of the wanted hidden states among those that are kept, none for all as they are; None where some are not kept."""
    if wanted == kept:
        return ()
    if wanted is None or (kept is not None and not set(wanted) <= set(kept)):
        return None
    return wanted if kept is None else tuple(kept.index(number) for number in wanted)


Stored = tuple[Source, int]  # where, and which row of it


@dataclass(frozen=True)
class FeatureCache:
    """The feature keys of the features that were there, in order, and for each part where a key's row is."""

    order: tuple[str, ...]
    stored: dict[str, dict[str, Stored]]
    folder: Path | None = None
    buckets: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, folder: Path, pieces: Path | None = None, latents: str = "float16", states: States = None
    ) -> "FeatureCache":
        """Of finished features, which count only if every file that samples.parquet names is there, and of pieces; rows that were
        rounded to 8 bits are none where `latents` is float16, and sound of which a hidden state of `states` is not kept is none."""
        stored: dict[str, dict[str, Stored]] = {part: {} for part in PARTS}
        for path in sorted(pieces.glob("*.safetensors")) if pieces is not None else []:
            of_parts, kept = _keys_of_piece(path)
            picked = _among(states, kept)
            for part, keys in of_parts.items():
                if part != "audio" or picked is not None:
                    stored[part] |= {key: (Piece(path, picked or ()), row) for row, key in enumerate(keys)}
        if not (folder / "samples.parquet").is_file():
            return cls((), stored)
        table = read_table(folder / "samples.parquet")
        if not {"bucket", "row"} <= set(table.columns):  # made before there were buckets
            return cls((), stored)
        buckets = tuple(sorted(table["bucket"].unique()))
        named = read_table_metadata(folder / "samples.parquet").get("files", {})
        if not all(file_named(folder, name).is_file() for name in named) or not all(
            parts_of(folder, bucket) for bucket in buckets
        ):
            return cls((), stored)
        shard = ShardRows(folder, OpenFiles())
        record = EncodersRecord.read_if_there(folder)
        picked = _among(states, _states(None if record is None else record.values.get(STATES)))
        sources = {bucket: BucketSource(shard, bucket, picked or ()) for bucket in buckets}
        rounded = {bucket for bucket in buckets if latents == "float16" and shard.latents_dtype(bucket) != "float16"}
        rows: list[Stored] = [(sources[b], row) for b, row in zip(table["bucket"], table["row"].tolist(), strict=True)]
        without = {"latents": rounded, "audio": set(buckets) if picked is None else set()}
        for part in PARTS:
            gone = table["bucket"].isin(without.get(part, set())).tolist()
            # A sample's whole key stands for each of its parts: a table that was made before there were parts has no other.
            for column in (name for name in ("feature_key", f"{part}_key") if name in table):
                pairs = zip(table[column], rows, gone, strict=True)
                stored[part] |= {key: place for key, place, lost in pairs if not lost}
        return cls(tuple(table["feature_key"]), stored, folder, buckets)

    def find(self, part: str, sample: Sample) -> Stored | None:
        """Where this part of a sample stands, if it does."""
        stored = self.stored[part]
        return stored.get(sample.part_keys[part]) or stored.get(sample.feature_key)

    def lacking(self, sample: Sample) -> frozenset[str]:
        """The parts that are to be computed."""
        return frozenset(part for part in PARTS if self.find(part, sample) is None)

    def null_text(self) -> np.ndarray | None:
        """`(L, D)` states of the empty prompt in the finished features, if there are any."""
        if self.folder is None or not self.buckets:
            return None
        return ShardRows(self.folder, OpenFiles()).null_text(self.buckets[0])

    def copy(self, samples: Iterable[Sample], writer: BucketWriter) -> None:
        """Bring every part that stands, but text, into the row of its sample; `samples` are in the order of the rows."""
        found: dict[tuple[Source, str], list[tuple[int, int]]] = {}
        for row, sample in enumerate(samples):
            for part in DECODED:
                place = self.find(part, sample)
                if place is not None:
                    found.setdefault((place[0], part), []).append((row, place[1]))
        for (source, part), rows in found.items():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                new, old = zip(*rows[start : start + ROWS_AT_ONCE], strict=True)
                writer.put(new, source.read(part, old))

    def text(self, sample: Sample) -> np.ndarray | None:
        """`(L, D)` states of a sample's caption, if they stand."""
        place = self.find("text", sample)
        return None if place is None else place[0].read("text", [place[1]])["text"][0]

    def shapes(self, sample: Sample) -> RowShapes:
        """Shapes of a sample of which no part is lacking, from where its parts stand; keypoints are not of them."""
        found: dict[str, tuple[int, ...]] = {}
        for part in DECODED:
            place = self.find(part, sample)
            assert place is not None, "asked for with nothing lacking"
            tensors = place[0].read(part, [place[1]])
            found |= {name: values.shape[1:] for name, values in tensors.items()}
        return found


def _states(listed: list[int] | None) -> States:
    return None if listed is None else tuple(listed)


def _keys_of_piece(path: Path) -> tuple[dict[str, list[str]], States]:
    """Keys of each part, and the hidden states of its sound."""
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            return json.loads(metadata[KEYS]), _states(json.loads(metadata.get(STATES, "null")))
    except SafetensorError:
        path.unlink()  # only a build writes here: a damaged piece is work to do again, not data lost
        return {}, None


class PieceKeeper:
    """Writes what was computed into a piece whenever a minute has passed."""

    def __init__(self, folder: Path, name: str, states: States = None):
        """`name` begins the pieces' names: a bucket's, or that of the texts. `states` are the hidden states of the sound."""
        self._folder, self._name, self._states = folder, name, states
        self._clear()

    def add(self, part: str, keys: Iterable[str], tensors: Mapping[str, np.ndarray]) -> None:
        """Keep rows of one part under their keys, numbers in float16."""
        self._keys.setdefault(part, []).extend(keys)
        for name, rows in tensors.items():
            self._tensors.setdefault(name, []).append(rows.astype(np.float16) if rows.dtype.kind == "f" else rows)
        if time.monotonic() - self._since >= PIECE_SECONDS:
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._folder / f"{self._name}-{time.time_ns()}.safetensors") as temporary:
                # In rows: safetensors 0.8.0 writes an array as it lies in memory (findings/safetensors_numpy_as_it_lies_in_memory.sh).
                whole = {name: np.ascontiguousarray(np.concatenate(rows)) for name, rows in self._tensors.items()}
                save_file(whole, temporary, {KEYS: json.dumps(self._keys), STATES: json.dumps(self._states)})
            self._clear()

    def _clear(self) -> None:
        self._since = time.monotonic()
        self._keys: dict[str, list[str]] = {}
        self._tensors: dict[str, list[np.ndarray]] = {}
