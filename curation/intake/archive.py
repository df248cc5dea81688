"""A shard's media: one tar whose bytes depend on its files alone, read at random. A clip is a file or a range of one."""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.errors import CurationError
from media import Span

ARCHIVE = "clips.tar"


def member_name(clip_id: str, source: Path) -> str:
    """The clip's id and its file's suffix; a suffix that is no plain word becomes `.bin`."""
    suffix = source.suffix.lower()
    return clip_id + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ".bin")


def write_archive(path: Path, members: Iterable[tuple[str, Path, str]]) -> None:
    """Write `(member name, source file, expected sha256)` in order of names; times and owners are fixed.

    Raises:
        CurationError: a file no longer has the bytes that were examined.
    """
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, source, sha256 in sorted(members):
            with source.open("rb") as file:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o644
                reader = _HashingReader(file)
                archive.addfile(entry, reader)
            if reader.digest.hexdigest() != sha256:
                raise CurationError(f"{source} changed while it was ingested; wait until it is copied and ingest again")


class _HashingReader:
    """Passes bytes through to tarfile and hashes them on the way."""

    def __init__(self, file):
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.digest.update(block)
        return block


def read_clip(shard_dir: Path, clip_id: str) -> bytes | Span:
    """The bytes of one clip's media file, by seeking; with its range of seconds where the clip is a part of the file.

    Raises:
        CurationError: no such clip in the shard, or no archive.
    """
    path, table = shard_dir / ARCHIVE, shard_dir / "clips.parquet"
    if not path.is_file():
        raise CurationError(f"no archive {path}; pull it with `dvc pull` or ingest the clips again")
    members, places = _index(*_stamp(path)), _places(*_stamp(table)) if table.is_file() else {}
    place = places.get(clip_id)
    member = clip_id if place is None else place.member
    if member not in members:
        raise CurationError(f"clip {clip_id} is not in {path}; its clips.parquet belongs to another archive")
    offset, size = members[member]
    with path.open("rb") as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) != size:
        raise CurationError(
            f"{path} ends before clip {clip_id} does; pull it with `dvc pull` or ingest the clips again"
        )
    return data if place is None or place.whole else Span(data, place.start, place.end, place.track)


@dataclass(frozen=True)
class _Place:
    """Where a clip lies: the member's name without suffix, the range of it in seconds, and the file's track that is heard."""

    member: str
    start: float
    end: float
    whole: bool
    track: int | None


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _index(path: str, modified: int, size: int) -> dict[str, tuple[int, int]]:
    with tarfile.open(path, "r:") as archive:
        return {Path(m.name).stem: (m.offset_data, m.size) for m in archive.getmembers() if m.isfile()}


@lru_cache(maxsize=8)
def _places(path: str, modified: int, size: int) -> dict[str, _Place]:
    columns = [
        "clip_id",
        "member",
        "sha256",
        "source_sha256",
        "start_seconds",
        "end_seconds",
        "has_audio",
        "audio_track",
    ]
    there = set(pq.read_schema(path).names)  # a shard of before knows no tracks
    rows = pq.read_table(path, columns=[name for name in columns if name in there]).to_pylist()
    return {row["clip_id"]: _place(row) for row in rows}


def _place(row: dict[str, Any]) -> _Place:
    whole = row["sha256"] == row["source_sha256"]
    track = row.get("audio_track") if row["has_audio"] else None
    return _Place(Path(row["member"]).stem, row["start_seconds"], row["end_seconds"], whole, track)
