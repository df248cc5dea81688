"""Clips that are nearly the same as an earlier one, found among all shards through one index file.

Multi-index hashing (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012):
128 bits are eight bands of 16. Two hashes at most 15 bits apart have a band in which they differ by one bit or none, so
only clips that share such a band are compared, whatever the number of shards.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from curation.intake.video_hash import BYTES
from curation.tables.storage import CurationError, read_table
from media.file_lock import file_lock

# Measured on 400 puppets, which all share one layout: copies at other sizes, rates, brightness and compression lie 0 to 9
# bits apart (95 %), different puppets 15 and more, half of them 57 and more.
DISTANCE = 10
BANDS = 8
MAX_DISTANCE = 2 * BANDS - 1  # what the bands guarantee
# hash, clip, the clip that its group is named after, and the shard: 16 + 8 + 8 + 6 bytes and two to spare
RECORD = np.dtype([("hash", "u1", BYTES), ("clip", "u8"), ("root", "u8"), ("shard", "u8")])


@dataclass(frozen=True)
class Match:
    """The nearest earlier clip, the clip its group is named after, and how many bits differ."""

    clip_id: str
    root: str
    distance: int


class HashTable:
    """Hashes that can be asked for near ones. Adding costs a sort at the next question, asking no scan.

    Args:
        records: of type `RECORD`.
        distance: bits that near hashes may differ in, at most 15.
    """

    def __init__(self, records: np.ndarray, distance: int = DISTANCE):
        if not 0 <= distance <= MAX_DISTANCE:
            raise ValueError(f"{BANDS} bands find hashes at most {MAX_DISTANCE} bits apart, not {distance}")
        self.records, self.distance = records, distance
        keys = _bands(records["hash"])
        self._order = np.argsort(keys, axis=0, kind="stable")
        self._sorted = np.take_along_axis(keys, self._order, axis=0)

    def nearest(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For `(N, 16)` uint8 hashes the row of the nearest record and its distance, both `(N,)`; -1 where none is near.

        Of equally near ones the earliest row wins.
        """
        rows, distances = np.full(len(hashes), -1, np.int64), np.full(len(hashes), MAX_DISTANCE + 1, np.int64)
        if not len(self.records):
            return rows, distances
        for number, key in enumerate(_bands(hashes)):
            candidates = self._candidates(key)
            apart = np.bitwise_count(self.records["hash"][candidates] ^ hashes[number]).sum(axis=1, dtype=np.int64)
            if len(apart) and apart.min() <= self.distance:
                distances[number] = apart.min()
                rows[number] = candidates[apart == apart.min()].min()
        return rows, distances

    def _candidates(self, key: np.ndarray) -> np.ndarray:
        """Rows that agree with `(8,)` band values in one band up to one bit."""
        found = []
        # Fewer bits than bands leave one band equal (pigeonhole); else up to one bit of some band differs.
        flips = _FLIPS[:1] if self.distance < BANDS else _FLIPS
        for band in range(BANDS):
            wanted = key[band] ^ flips
            column = self._sorted[:, band]
            first, last = np.searchsorted(column, wanted, "left"), np.searchsorted(column, wanted, "right")
            found += [self._order[a:b, band] for a, b in zip(first, last, strict=True) if b > a]
        return np.concatenate(found) if found else np.zeros(0, np.int64)


_FLIPS = np.concatenate([[0], 1 << np.arange(16)]).astype(np.uint16)


def _bands(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view(np.uint16)


class DuplicateIndex:
    """All clips' hashes in one file, which follows the shards: it can be deleted at any time and is made again.

    Args:
        shards_root: the folder of all shards.
        path: the file; None keeps the index in memory alone.
        without: a shard that is about to be replaced.
    """

    def __init__(self, shards_root: Path, path: Path | None, without: str = ""):
        self._root, self._path, self._without = shards_root, path, without

    @contextmanager
    def held(self) -> Iterator[np.ndarray]:
        """The records of all shards; nobody else writes a shard while the block runs, so no pair is missed."""
        if self._path is None:
            yield self._current(np.zeros(0, RECORD))
            return
        with file_lock(self._path.with_name(self._path.name + ".lock")):
            yield self._current(self._read())

    def add(self, records: np.ndarray) -> None:
        """Append a shard's records, inside `held`, once the shard is there."""
        if self._path is None:
            return
        with self._path.open("ab") as file:
            file.write(records.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> np.ndarray:
        assert self._path is not None
        if not self._path.is_file():
            return np.zeros(0, RECORD)
        data = self._path.read_bytes()
        # A write that was cut off leaves part of a record; its shard is read again below.
        return np.frombuffer(data[: len(data) // RECORD.itemsize * RECORD.itemsize], RECORD)

    def _current(self, records: np.ndarray) -> np.ndarray:
        """Bring the records up to the shards that exist: gone ones leave, ones that came otherwise are read."""
        shards = {
            _shard_number(path.name): path for path in sorted(self._root.glob("s-*")) if path.name != self._without
        }
        known = set(np.unique(records["shard"]).tolist())
        parts = [records[np.isin(records["shard"], list(shards))]]
        for number in sorted(set(shards) - known):
            parts.append(records_of(read_table(shards[number] / "clips.parquet"), shards[number].name))
        current = np.concatenate(parts)
        if self._path is not None and (len(current) != len(records) or not self._path.is_file()):
            temporary = self._path.with_name(self._path.name + ".tmp")
            temporary.write_bytes(current.tobytes())
            temporary.replace(self._path)
        return current


def records_of(clips: pd.DataFrame, shard: str) -> np.ndarray:
    """The index records of a shard's clips.parquet, ready to append.

    Raises:
        CurationError: a table without hashes, from before they were taken.
    """
    if "phash" not in clips:
        raise CurationError(f"clips.parquet of {shard} has no column phash: an older version made it; ingest it again")
    records = np.zeros(len(clips), RECORD)
    hashes = "".join(clips["phash"])
    records["hash"] = np.frombuffer(bytes.fromhex(hashes), np.uint8).reshape(-1, BYTES)
    ids = clips["clip_id"].tolist()
    roots = [root or own for root, own in zip(clips["near_duplicate_of"], ids, strict=True)]
    records["clip"] = [int(value, 16) for value in ids]
    records["root"] = [int(value, 16) for value in roots]
    records["shard"] = _shard_number(shard)
    return records


def find_near_duplicates(
    clip_ids: Sequence[str], hashes: Sequence[bytes], earlier: np.ndarray, distance: int = DISTANCE
) -> list[Match | None]:
    """For each clip the nearest one before it: in `earlier` records, or in the order given.

    Args:
        clip_ids: 16 hex digits each.
        hashes: of `video_hash`, as many.
        earlier: records of the clips that were there already.
        distance: bits that near hashes may differ in.
    """
    own = np.zeros(len(clip_ids), RECORD)
    if len(own):
        own["hash"] = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, BYTES)
        own["clip"] = own["root"] = [int(value, 16) for value in clip_ids]
    rows, distances = HashTable(earlier, distance).nearest(own["hash"])
    matches: list[Match | None] = []
    for number in range(len(own)):
        before = np.bitwise_count(own["hash"][:number] ^ own["hash"][number]).sum(axis=1, dtype=np.int64)
        nearest_own = int(before.min(initial=MAX_DISTANCE + 1))
        record = None
        if rows[number] >= 0 and distances[number] <= nearest_own:
            record, apart = earlier[rows[number]], int(distances[number])
        elif nearest_own <= distance:
            record, apart = own[int(before.argmin())], nearest_own
        if record is None:
            matches.append(None)
            continue
        own["root"][number] = record["root"]
        matches.append(Match(f"{record['clip']:016x}", f"{record['root']:016x}", apart))
    return matches


def near_duplicate_groups(tables: Sequence[pd.DataFrame]) -> list[list[str]]:
    """Clip ids of each group of near duplicates over the given clips.parquet tables; its first clip names the group.

    Largest groups first.
    """
    every = pd.concat([table[["clip_id", "near_duplicate_of"]] for table in tables]) if tables else None
    if every is None or every.empty:
        return []
    copies = every[every["near_duplicate_of"] != ""].drop_duplicates("clip_id").sort_values("clip_id")
    groups = [[root, *part["clip_id"]] for root, part in copies.groupby("near_duplicate_of")]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def _shard_number(name: str) -> int:
    return int(name.removeprefix("s-"), 16)
