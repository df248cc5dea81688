"""Features of shards that lie in an object store, as DVC pushed them: rows by range, through a bounded cache on a local disk."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles
from media.store.block_cache import BlockCache
from media.store.listing import RemoteFolder
from media.store.objects import ObjectStore, StoreError
from media.store.remote_bytes import AT_ONCE, RemoteBytes

SEPARATOR = "#"


class RemoteFeatures:
    """`address` is `<remote>#<hash>.dir`: where DVC pushed to, and the list of `data/condition_features` there.

    Attributes:
        sources: the objects that were opened, by relative name.
    """

    def __init__(self, address: str, cache: BlockCache):
        """
        Raises:
            StoreError: no such address.
        """
        url, mark, listing = address.rpartition(SEPARATOR)
        if not mark or not listing.endswith(".dir"):
            raise StoreError(f"{address} is no address of features; it is REMOTE#HASH.dir, and dvc.lock has the hash")
        self._folder, self._cache = RemoteFolder(ObjectStore(url), listing), cache
        self._pool = ThreadPoolExecutor(AT_ONCE, "store")
        self._files = OpenFiles(source=self._open)
        self.sources: dict[str, RemoteBytes] = {}

    @cached_property
    def _names(self) -> dict[str, frozenset[str]]:
        """The files of each shard."""
        found: dict[str, set[str]] = {}
        for name in self._folder.files:
            shard, _, file = name.rpartition("/")
            found.setdefault(shard, set()).add(file)
        return {shard: frozenset(files) for shard, files in found.items()}

    def shard(self, name: str) -> ShardRows:
        """Rows of a shard; a shard that is not there has none."""
        return ShardRows(Path(name), self._files, self._names.get(name, frozenset()))

    def _open(self, path: Path) -> RemoteBytes:
        name = path.as_posix()
        md5 = self._folder.files[name]
        return self.sources.setdefault(name, RemoteBytes(self._folder.store, md5, name, self._cache, self._pool))
