"""Rows of feature files by byte range, in either layout: what is resident is what was asked for."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from media.features.remote import RemoteFeatures
from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles
from media.store.block_cache import BlockCache
from training.data.compatibility import SnapshotError
from training.run.jobs import TrainingJob

GIB_VARIABLE, CACHE_VARIABLE = "OMNIHUMAN_FEATURES_GIB", "OMNIHUMAN_CACHE"
GIB = 50.0


def feature_rows(job: TrainingJob) -> "FeatureRows":
    """The rows that a job trains on: its folder's, and out of the object store those of shards that are not there.

    Raises:
        SnapshotError: the size of the cache is no number.
        media.store.objects.StoreError: the store's address is none.
    """
    root = Path(job.features_root)
    if not job.features_remote:
        return FeatureRows(root)
    given = os.environ.get(GIB_VARIABLE, "") or str(GIB)
    try:
        most = int(float(given) * 2**30)
    except ValueError as error:
        raise SnapshotError(f"{GIB_VARIABLE} is {given!r}; give a number of GiB") from error
    place = os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "omnihuman"
    return FeatureRows(root, RemoteFeatures(job.features_remote, BlockCache(Path(place) / "features", most)))


class FeatureRows:
    """Reads rows out of `ROOT/<shard>/`, and those of shards that are not there out of `remote`. Threads may share it."""

    def __init__(self, root: Path, remote: RemoteFeatures | None = None):
        self.root, self._remote = root, remote
        self._files, self._shards = OpenFiles(), dict[str, ShardRows]()
        self._lock = threading.Lock()

    def shapes(self, shard: str, bucket: str) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor's row.

        Raises:
            SnapshotError: no such features, with the asset that makes them.
        """
        with self._lock:
            return self._shard(shard, bucket).shapes(bucket)

    def gather(
        self, places: Sequence[tuple[str, int]], bucket: str, name: str, cut: tuple[int, int] | None = None
    ) -> Tensor:
        """`(B, ...)` float32 rows of tensor `name`.

        Args:
            places: shard and row of each.
            bucket: of all.
            name: of the tensor; `null_text` is every row's.
            cut: (axis, length): read only so much of that axis.
        """
        by_shard: dict[str, list[int]] = {}
        for index, (shard, _) in enumerate(places):
            by_shard.setdefault(shard, []).append(index)
        parts = [
            self._rows(shard, bucket, name, [places[i][1] for i in indices], cut) for shard, indices in by_shard.items()
        ]
        if len(parts) == 1:
            return parts[0]
        rows = parts[0].new_empty((len(places), *parts[0].shape[1:]))
        for part, indices in zip(parts, by_shard.values(), strict=True):
            rows[torch.tensor(indices)] = part
        return rows

    def _rows(self, shard: str, bucket: str, name: str, rows: list[int], cut: tuple[int, int] | None) -> Tensor:
        with self._lock:
            stored = self._shard(shard, bucket)
            if name == "null_text":
                null = torch.from_numpy(stored.null_text(bucket)).float()
                return null[None].expand(len(rows), *null.shape)
            kept, scale = stored.read(bucket, name, rows, cut)
        values = torch.from_numpy(kept).float()
        return values if scale is None else values.mul_(torch.from_numpy(scale)[..., None, None])

    def _shard(self, shard: str, bucket: str) -> ShardRows:
        if shard not in self._shards:
            remote = None if (self.root / shard / "samples.parquet").is_file() else self._remote
            self._shards[shard] = ShardRows(self.root / shard, self._files) if remote is None else remote.shard(shard)
        try:
            self._shards[shard].parts(bucket)
        except FileNotFoundError as error:
            raise SnapshotError(
                f"the snapshot names shard {shard}, but there are {error}; re-run condition_features --shard {shard}"
            ) from error
        return self._shards[shard]
