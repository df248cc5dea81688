"""Blocks of objects on a local disk, at most so many bytes of them: the least recently read go first. Processes may share one."""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from media.files import write_atomically

BLOCK = 4 * 2**20  # bytes: some rows of features, and long enough that a store's delay counts little
BEHIND = 16  # blocks that wait for the disk at most
logger = logging.getLogger(__name__)


class BlockCache:
    """Below `folder`, `most` bytes. What it holds is named by the content's hash, so that it is never out of date.

    Whoever reads a block does not wait until the disk has it: to synchronise one can take longer than to fetch it. Blocks that are
    still to be written are read out of memory.
    """

    def __init__(self, folder: Path, most: int):
        self.folder, self.most = folder, most
        self._written = most  # since the folder was last looked through: it may hold another process's
        self._waiting: dict[Path, bytes] = {}
        self._lock, self._full = threading.Lock(), False
        self._writer = ThreadPoolExecutor(1, "block-cache")

    def read(self, key: str, number: int, begin: int, length: int, fetch: Callable[[int, int], bytes]) -> bytes:
        """`length` bytes from `begin` of block `number` of the object `key`, fewer where it ends before; `fetch(start, stop)` brings the block
        where it is not here."""
        path = self.folder / key[:2] / f"{key[2:]}-{number}"
        waiting = self._waiting.get(path)  # asked first: it goes when the file is there
        if waiting is not None:
            return waiting[begin : begin + length]
        with suppress(FileNotFoundError), path.open("rb") as file:  # another process may remove it at any time
            os.utime(file.fileno())
            file.seek(begin)
            return file.read(length)
        return self._bring(path, number, fetch)[begin : begin + length]

    def bring(self, key: str, number: int, fetch: Callable[[int, int], bytes]) -> None:
        """Have a block here for a read that follows."""
        path = self.folder / key[:2] / f"{key[2:]}-{number}"
        if path not in self._waiting and not path.is_file():
            self._bring(path, number, fetch)

    def flush(self) -> None:
        """Wait until the disk has what was brought before."""
        self._writer.submit(lambda: None).result()

    def _bring(self, path: Path, number: int, fetch: Callable[[int, int], bytes]) -> bytes:
        data = fetch(number * BLOCK, (number + 1) * BLOCK)
        if len(data) <= self.most:
            with self._lock:
                room = len(self._waiting) < BEHIND
                if room:
                    self._waiting[path] = data
            if room:
                self._writer.submit(self._write, path, data)
            else:
                self._write(path, data)  # the disk is slower than the store, and what waits stays in memory
        return data

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomically(path, data)
        except OSError as error:
            if not self._full:
                logger.warning(
                    f"{path} cannot be written ({error}): such blocks are fetched each time they are read; make room there"
                )
            self._full = True
        finally:
            self._waiting.pop(path, None)
        with self._lock:
            self._written += len(data)
            if self._written > self.most // 16:
                self.shrink()

    def shrink(self) -> None:
        """Remove what was read longest ago until the rest fits."""
        self._written = 0
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("??/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.most - self.most // 16:
                return
            path.unlink(missing_ok=True)
            total -= size
