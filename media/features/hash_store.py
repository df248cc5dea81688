"""Hashes of large files, kept with what tells that nobody touched them: size, time, and the file's number on its disk, as DVC does."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from media.files import sha256_of_file

_TABLE = """
create table if not exists hashes (device integer, inode integer, size integer, modified integer, sha256 text,
primary key (device, inode))
"""
WAIT_SECONDS = 60.0  # for another process that writes

_log = logging.getLogger(__name__)


class HashStore:
    """sha256 of files, each computed once for as long as its size, time and inode stand. A file that was renamed is the same file."""

    def __init__(self, path: Path | None):
        """`path` is of a small database, made where there is none; None keeps nothing."""
        self._path = path

    def sha256(self, file: Path) -> str:
        """Hex sha256 of a file's bytes."""
        status = file.stat()
        found = self._find(status)
        if found is None:
            found = sha256_of_file(file)
            # What was written to while it was hashed is hashed again next time.
            if _identity(file.stat()) == _identity(status):
                self._keep(status, found)
        return found

    def _find(self, status: os.stat_result) -> str | None:
        if self._path is None or not self._path.is_file():
            return None
        device, inode, *rest = _identity(status)
        asked = "select size, modified, sha256 from hashes where device = ? and inode = ?"
        try:
            with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as store:
                row = store.execute(asked, (device, inode)).fetchone()
        except sqlite3.DatabaseError:  # damaged, or of nobody here: it holds only what can be computed again
            return None
        return row[2] if row is not None and list(row[:2]) == rest else None

    def _keep(self, status: os.stat_result, sha256: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as store, store:
                store.execute(_TABLE)
                store.execute("replace into hashes values (?, ?, ?, ?, ?)", (*_identity(status), sha256))
        except (sqlite3.DatabaseError, OSError) as error:  # a home that is read only is read all the same
            _log.warning("hashes are not kept in %s: %s; files are hashed again each time", self._path, error)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
