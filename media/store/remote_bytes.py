"""One object as `media.features.tensor_file` reads files: by ranges, through the cache, the ranges of one request at the same time."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from media.store.block_cache import BLOCK, BlockCache
from media.store.listing import object_name
from media.store.objects import ObjectStore, StoreError

AT_ONCE = 16  # ranges that are asked for at the same time


class RemoteBytes:
    """The object of a hash in a remote of DVC's layout.

    Attributes:
        fetched: bytes that came from the store.
    """

    def __init__(self, store: ObjectStore, md5: str, name: str, cache: BlockCache, pool: ThreadPoolExecutor):
        self._store, self._md5, self._name, self._cache, self._pool = store, md5, name, cache, pool
        self.fetched = 0

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset` on.

        Raises:
            OSError: the object ends before.
            StoreError: it is not there, or the store does not answer.
        """
        done = 0
        while done < len(buffer):
            number, within = divmod(offset + done, BLOCK)
            length = min(BLOCK - within, len(buffer) - done)
            piece = self._cache.read(self._md5, number, within, length, self._fetch)
            if not piece:
                raise OSError(
                    f"{self._name} in {self._store.url} ends at {offset + done} bytes, before what its header names"
                )
            buffer[done : done + len(piece)] = piece
            done += len(piece)

    def will_read(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Bring the blocks of `(offset, length)` ranges, those that are not here, several at a time; they are read next."""
        numbers = {
            number
            for offset, length in ranges
            if length
            for number in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1)
        }
        for _ in self._pool.map(lambda number: self._cache.bring(self._md5, number, self._fetch), sorted(numbers)):
            pass

    def close(self) -> None:
        """Nothing is held open."""

    def _fetch(self, start: int, stop: int) -> bytes:
        try:
            data = self._store.range(object_name(self._md5), start, stop)
        except FileNotFoundError:
            raise StoreError(
                f"{self._store.url} lacks {self._name} ({self._md5}): a push was broken off; `omnihuman push` on the machine that made it goes on"
            ) from None
        self.fetched += len(data)
        return data
