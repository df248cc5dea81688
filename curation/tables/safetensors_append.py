"""Safetensors files whose arrays grow row by row: nothing of them is held in memory, whatever their length will be."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

_DTYPES = {"float16": "F16", "float32": "F32", "int32": "I32", "int64": "I64"}
_COPY_BYTES = 1 << 20


class GrowingTensors:
    """Named arrays of one safetensors file (github.com/huggingface/safetensors, Format), appended to along their first axis.

    The format wants lengths before contents, so rows wait in files beside `path` until `close` puts the header before
    them. Used as a context, it removes those files whatever happens.
    """

    def __init__(self, path: Path, rows: Mapping[str, tuple[tuple[int, ...], str]]):
        """`rows` gives name to (shape of one row, numpy dtype name: float16, float32, int32 or int64)."""
        self._path, self._rows = path, dict(rows)
        self._lengths = dict.fromkeys(rows, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, BinaryIO] = {name: self._waiting(name).open("w+b") for name in rows}

    def __enter__(self) -> "GrowingTensors":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self._files.items():
            file.close()
            self._waiting(name).unlink(missing_ok=True)

    def append(self, name: str, values: np.ndarray) -> int:
        """Add `(n, *row)` values; returns the place of the first.

        Raises:
            ValueError: rows of another shape.
        """
        shape, dtype = self._rows[name]
        if values.shape[1:] != shape:
            raise ValueError(f"{self._path} takes rows of {shape} in {name}, got {values.shape[1:]}")
        place = self._lengths[name]
        self._files[name].write(np.ascontiguousarray(values, dtype).tobytes())
        self._lengths[name] += len(values)
        return place

    def close(self, metadata: Mapping[str, str] | None = None) -> None:
        """Write the file: header, then rows."""
        header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
        offset = 0
        for name, (shape, dtype) in self._rows.items():
            end = offset + self._lengths[name] * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            header[name] = {
                "dtype": _DTYPES[dtype],
                "shape": [self._lengths[name], *shape],
                "data_offsets": [offset, end],
            }
            offset = end
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 8)
        with self._path.open("wb") as whole:
            whole.write(len(encoded).to_bytes(8, "little") + encoded)
            for file in self._files.values():
                file.seek(0)
                shutil.copyfileobj(file, whole, _COPY_BYTES)

    def _waiting(self, name: str) -> Path:
        return self._path.with_name(f".{self._path.name}.{name}")
