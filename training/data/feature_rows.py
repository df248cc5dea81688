"""Rows of feature files by memory map: one gather per tensor and file, whatever the batch."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from training.data.compatibility import SnapshotError

# Files held open at once: a snapshot may have ten thousand shards, a process rarely that many descriptors.
OPEN_FILES = 256


class FeatureRows:
    """Reads rows out of `ROOT/<shard>/features-<bucket>.safetensors`."""

    def __init__(self, root: Path):
        self.root = root
        self._open: OrderedDict[tuple[str, str], dict[str, Tensor]] = OrderedDict()

    def path(self, shard: str, bucket: str) -> Path:
        """Where rows of a shard's bucket stand."""
        return self.root / shard / f"features-{bucket}.safetensors"

    def tensors(self, shard: str, bucket: str) -> dict[str, Tensor]:
        """Every tensor of a file, mapped: pages are read when rows are.

        Raises:
            SnapshotError: no such file, with the asset that makes it.
        """
        key = (shard, bucket)
        if key not in self._open:
            path = self.path(shard, bucket)
            if not path.is_file():
                raise SnapshotError(
                    f"the snapshot names shard {shard}, but {path} is missing; re-run condition_features --shard {shard}"
                )
            with safe_open(path, framework="pt") as file:
                self._open[key] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]

    def gather(
        self, places: Sequence[tuple[str, int]], bucket: str, name: str, cut: tuple[int, int] | None = None
    ) -> Tensor:
        """`(B, ...)` float32 rows of tensor `name`.

        Args:
            places: shard and row of each.
            bucket: of all.
            name: of the tensor; `null_text`, which a file has once, is every row's.
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
        source = self.tensors(shard, bucket)[name]
        if name == "null_text":
            return source.float()[None].expand(len(rows), *source.shape)
        if cut is not None:
            source = source.narrow(cut[0], 0, cut[1])
        return source[torch.tensor(rows)].float()
