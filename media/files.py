"""Files and directories that appear whole: written beside their place, flushed to disk, then renamed. And their hash."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write `data` so that `path` holds either the old bytes or all of the new ones, also after `kill -9`; `mode` less the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, mode) as temporary:
        temporary.write_bytes(data)


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Give a file beside `path` to write; when the block ends well it is flushed and takes `path`'s place, else it is removed."""
    temporary = path.parent / f".tmp-{uuid.uuid4().hex}"
    # Made with its permissions: the system takes the umask off by itself.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def whole_directory(destination: Path) -> Iterator[Path]:
    """Give a folder to fill; when the block ends well it takes the place of `destination`, else it is removed.

    What a killed process left beside `destination` under this name is cleared away first.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".tmp-{destination.name}-"
    for stale in destination.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = destination.parent / f"{prefix}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                flush_to_disk(path)
        if destination.exists():
            # POSIX cannot rename over a folder that holds files: the old one steps aside first.
            retired = destination.parent / f"{prefix}{uuid.uuid4().hex}"
            retired.mkdir()
            destination.replace(retired / destination.name)
            temporary.replace(destination)
            shutil.rmtree(retired)
        else:
            temporary.replace(destination)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def cut_unfinished_line(file: BinaryIO) -> None:
    """Cut off what follows the last line's end in a file of lines that is open for reading and writing: what a kill left."""
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def flush_to_disk(path: Path) -> None:
    """fsync a file that another library wrote and closed."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_while_unchanged(path: Path) -> str:
    """As `sha256_of_file`, read once in this process for as long as the file's time and size stand."""
    status = path.stat()
    return _remembered_sha256(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2_000_000)  # half a kilobyte each, of those there are
def _remembered_sha256(path: str, modified: int, size: int) -> str:
    return sha256_of_file(Path(path))
