"""Questions to all shards at once: the score tables gathered into few files, and subsets counted over them by Arrow."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from curation.errors import CurationError
from curation.subsets.nested_subsets import known_columns, nest, parse_predicates
from curation.subsets.predicates import check_types, parse_predicate
from profiles.conditions import SUBSETS
from profiles.schema import CurationConfig

BATCH_ROWS = 256 * 1024
BUCKET = 2  # letters of a shard's hash that say which gathered file it goes to: 256 files at most
NOT_GATHERED = ("keypoints_offset", "keypoints_frames")
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Selection:
    """How many clips and hours there are, and how many are in each subset."""

    clips: int
    hours: float
    subset_clips: dict[str, int]
    subset_hours: dict[str, float]

    def keep_rate(self, subset: str) -> float:
        """Share in [0, 1] of all hours that the subset keeps."""
        return self.subset_hours[subset] / self.hours if self.hours else 0.0


def gather_scores(tables: dict[str, Path], folder: Path) -> list[Path]:
    """Bring the score tables of all shards into at most 256 files, which one query reads faster than 10,000 small ones.

    A file is named by what is in it. When a shard is new or scored again, only the file that it belongs to is written
    anew.

    Args:
        tables: shard name to its scores.parquet.
        folder: where the gathered files are.

    Raises:
        CurationError: no shard is scored.
    """
    if not tables:
        raise CurationError("no shard is scored yet; run `omnihuman demo` or materialise clip_scores")
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[str]] = {}
    for shard in sorted(tables):
        groups.setdefault(hashlib.sha256(shard.encode()).hexdigest()[:BUCKET], []).append(shard)
    parts = [_gather(prefix, {shard: tables[shard] for shard in shards}, folder) for prefix, shards in groups.items()]
    for stale in set(folder.glob("*.parquet")) - set(parts):
        stale.unlink()
    return sorted(parts)


def _gather(prefix: str, tables: dict[str, Path], folder: Path) -> Path:
    stats = [(shard, path.stat().st_mtime_ns, path.stat().st_size) for shard, path in tables.items()]
    part = folder / f"{prefix}-{hashlib.sha256(repr(stats).encode()).hexdigest()[:16]}.parquet"
    if part.is_file():
        return part
    pieces = []
    for shard, path in tables.items():
        table = pq.read_table(path)
        table = table.drop_columns([name for name in NOT_GATHERED if name in table.column_names])
        pieces.append(
            table.append_column("shard", pa.array([shard] * len(table), pa.string())).replace_schema_metadata()
        )
    temporary = part.with_suffix(".tmp")
    # Shards scored under another profile have other columns; what one lacks is missing there.
    pq.write_table(pa.concat_tables(pieces, promote_options="default"), temporary, row_group_size=BATCH_ROWS)
    temporary.replace(part)
    return part


def open_scores(parts: Sequence[Path]) -> ds.Dataset:
    """The gathered files as one table, with every column that any of them has."""
    schemas = [pq.read_schema(path) for path in parts]
    return ds.dataset([str(path) for path in parts], schema=pa.unify_schemas(schemas, promote_options="default"))


def select(dataset: ds.Dataset, config: CurationConfig) -> Selection:
    """Count clips and hours of every subset. Batches pass through: memory does not grow with the table.

    Raises:
        CurationError: a predicate is wrong, or reads a column that no shard has.
    """
    predicates = parse_predicates(config)
    check_predicates(dataset, [predicate.text for predicate in predicates.values()], config)
    projection = {name: predicate.expression for name, predicate in predicates.items()}
    tally = Tally()
    for batch in batches(dataset, {**projection, "seconds": ds.field("seconds")}):
        tally.add(nest({name: column(batch, name) for name in SUBSETS}, config), column(batch, "seconds"))
    return tally.selection()


class Tally:
    """Clips and seconds, of all and of each subset."""

    def __init__(self) -> None:
        self.clips, self.seconds = 0, 0.0
        self.inside, self.seconds_inside = dict.fromkeys(SUBSETS, 0), dict.fromkeys(SUBSETS, 0.0)

    def add(self, subsets: Mapping[str, np.ndarray], seconds: np.ndarray) -> None:
        """Count `(rows,)` bools of each subset with their clips' lengths."""
        self.clips += len(seconds)
        self.seconds += float(seconds.sum())
        for name, inside in subsets.items():
            self.inside[name] += int(np.count_nonzero(inside))
            self.seconds_inside[name] += float(seconds[inside].sum())

    def selection(self) -> Selection:
        """What was counted so far."""
        hours = {name: seconds / SECONDS_PER_HOUR for name, seconds in self.seconds_inside.items()}
        return Selection(self.clips, self.seconds / SECONDS_PER_HOUR, dict(self.inside), hours)


@dataclass(frozen=True)
class RepeatedCaptions:
    """`captions` stand at more than one clip each; `most_frequent` is one that stands at `times`."""

    captions: int
    times: int
    most_frequent: str


def repeated_captions(dataset: ds.Dataset) -> RepeatedCaptions:
    """Captions of more than one clip; having none is no caption. Eight bytes a clip are held, not the texts."""
    given = ds.field("caption") != ""
    hashes = [_hashes(batch) for batch in batches(dataset, {"caption": ds.field("caption")}, given)]
    found, times = (
        np.unique(np.concatenate(hashes), return_counts=True)
        if hashes
        else (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    )
    if not (times > 1).any():
        return RepeatedCaptions(0, 0, "")
    wanted = found[times.argmax()]
    for batch, of_batch in zip(batches(dataset, {"caption": ds.field("caption")}, given), hashes, strict=True):
        rows = np.flatnonzero(of_batch == wanted)
        if len(rows):
            return RepeatedCaptions(int((times > 1).sum()), int(times.max()), batch.column("caption")[rows[0]].as_py())
    raise CurationError("the score tables changed while they were read; ask again")


def _hashes(batch: pa.RecordBatch) -> np.ndarray:
    return pd.util.hash_array(column(batch, "caption"), categorize=False)


def caption_sources(dataset: ds.Dataset) -> dict[str, int]:
    """Clips by where their caption comes from, the most frequent first."""
    tally: Counter[str] = Counter()
    for batch in batches(dataset, {"source": ds.field("caption_source")}, ds.field("caption_source").is_valid()):
        tally.update(
            {entry["values"].as_py(): entry["counts"].as_py() for entry in batch.column("source").value_counts()}
        )
    return dict(tally.most_common())


def batches(
    dataset: ds.Dataset, columns: dict[str, ds.Expression], which: ds.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """The table, or the rows for which `which` holds, piece by piece; few wait, so that memory stays small."""
    scanner = dataset.scanner(
        columns=columns, filter=which, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return iter(scanner.to_batches())


def column(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A column as numpy; a missing number is NaN."""
    return batch.column(name).to_numpy(zero_copy_only=False)


def check_predicates(dataset: ds.Dataset, texts: Sequence[str], config: CurationConfig) -> None:
    """Say what is wrong before a single row is read.

    Raises:
        CurationError: a predicate is wrong, or reads a column that no shard has.
    """
    for text in texts:
        for name in parse_predicate(text, known_columns(config)).columns:
            if name not in dataset.schema.names:
                raise CurationError(
                    f"no shard has the column {name!r} that `{text}` reads; materialise clip_scores again"
                )
    check_types(texts, dataset.schema)
