"""A safetensors file filled row by row through a memory map: a shard of features need not fit in memory."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {"float16": "F16", "float32": "F32", "uint8": "U8"}


class TensorRows:
    """Named arrays in one safetensors file (github.com/huggingface/safetensors, Format), writable until `close`."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[tuple[int, ...], str]]):
        """`shapes` gives name to (shape, numpy dtype name: float16, float32 or uint8)."""
        header: dict[str, dict[str, Any]] = {}
        offset = 0
        # safetensors asks for wide types first so that each tensor is aligned.
        names = sorted(shapes, key=lambda name: (-np.dtype(shapes[name][1]).itemsize, name))
        for name in names:
            shape, dtype = shapes[name]
            end = offset + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
            offset = end
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 8)
        with path.open("wb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded)
            file.flush()
            # Claimed now: on a full disk this is an error with a message, a write through the map would be a signal.
            os.posix_fallocate(file.fileno(), 0, 8 + len(encoded) + offset)
        begin = 8 + len(encoded)
        self.arrays = {name: _map(path, shapes[name], begin + header[name]["data_offsets"][0]) for name in names}

    def close(self) -> None:
        """Bring everything to disk."""
        for array in self.arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
        self.arrays = {}


def _map(path: Path, spec: tuple[tuple[int, ...], str], offset: int) -> np.ndarray:
    shape, dtype = spec
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r+", offset, shape)
