"""A shard's media: one tar whose bytes depend on its clips alone, read at random."""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from curation.storage import CurationError

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


def read_clip(shard_dir: Path, clip_id: str) -> bytes:
    """The bytes of one clip's media file, by seeking.

    Raises:
        CurationError: no such clip in the shard, or no archive.
    """
    path = shard_dir / ARCHIVE
    if not path.is_file():
        raise CurationError(f"no archive {path}; pull it with `dvc pull` or ingest the clips again")
    status = path.stat()
    index = _index(str(path), status.st_mtime_ns, status.st_size)
    if clip_id not in index:
        raise CurationError(f"clip {clip_id} is not in {path}; its clips.parquet belongs to another archive")
    offset, size = index[clip_id]
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


@lru_cache(maxsize=8)
def _index(path: str, modified: int, size: int) -> dict[str, tuple[int, int]]:
    with tarfile.open(path, "r:") as archive:
        return {Path(m.name).stem: (m.offset_data, m.size) for m in archive.getmembers() if m.isfile()}
