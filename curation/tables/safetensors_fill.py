"""A safetensors file filled row by row through a memory map: a shard of features need not fit in memory."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {"float16": "F16", "float32": "F32", "uint8": "U8", "int8": "I8", "int32": "I32"}
Shape = tuple[tuple[int, ...], str]


class TensorRows:
    """Named arrays in one safetensors file (github.com/huggingface/safetensors, Format), writable until `close`."""

    def __init__(
        self,
        path: Path,
        shapes: Mapping[str, Shape],
        metadata: Mapping[str, str] | None = None,
        shrinking: str | None = None,
    ):
        """Claim the disk space of all rows.

        Args:
            path: of the file.
            shapes: name to (shape, numpy dtype name: float16, float32, uint8, int8 or int32).
            metadata: text by name.
            shrinking: a tensor that may turn out to have fewer rows; `close` is told how many.
        """
        # safetensors asks for wide types first so that each tensor is aligned; what may shrink stands at the end.
        names = sorted(shapes, key=lambda name: (name == shrinking, -np.dtype(shapes[name][1]).itemsize, name))
        self._path, self._shapes, self._shrinking = path, {name: shapes[name] for name in names}, shrinking
        self._metadata = dict(metadata or {})
        header, offsets, size = self._header(0)
        self._begin = len(header)
        with path.open("wb") as file:
            file.write(header)
            file.flush()
            # Claimed now: on a full disk this is an error with a message, a write through the map would be a signal.
            os.posix_fallocate(file.fileno(), 0, self._begin + size)
        self.arrays = {name: _map(path, shapes[name], self._begin + offsets[name]) for name in names}

    def _header(self, length: int) -> tuple[bytes, dict[str, int], int]:
        """The header, filled up with spaces to `length`, where each tensor begins behind it, and how many bytes they are."""
        entries: dict[str, dict[str, Any]] = {"__metadata__": self._metadata} if self._metadata else {}
        offsets, offset = {}, 0
        for name, (shape, dtype) in self._shapes.items():
            end = offset + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            entries[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
            offsets[name], offset = offset, end
        encoded = json.dumps(entries, separators=(",", ":")).encode()
        encoded = encoded.ljust(length - 8)
        encoded += b" " * (-len(encoded) % 8)
        return len(encoded).to_bytes(8, "little") + encoded, offsets, offset

    def close(self, rows: int | None = None) -> None:
        """Bring everything to disk; `rows` of the shrinking tensor are kept."""
        for array in self.arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
        self.arrays = {}
        if rows is None or self._shrinking is None:
            return
        shape, dtype = self._shapes[self._shrinking]
        self._shapes[self._shrinking] = ((rows, *shape[1:]), dtype)
        header, _, size = self._header(self._begin)
        with self._path.open("r+b") as file:
            file.write(header)
            file.truncate(self._begin + size)


def _map(path: Path, spec: Shape, offset: int) -> np.ndarray:
    shape, dtype = spec
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r+", offset, shape)
