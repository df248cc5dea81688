"""Rows of a safetensors file by byte range: no memory map, so that what is resident stays what was asked for, and a file that
stands elsewhere can be read by ranges too."""

import json
import math
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

DTYPES = {"F16": "float16", "F32": "float32", "I8": "int8", "U8": "uint8", "I32": "int32", "I64": "int64"}


class ByteSource(Protocol):
    """Anything that gives bytes by offset: a local file, or ranges of an object store."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset` on; raises OSError where there are fewer."""

    def will_read(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Be told the (offset, length) of what is read next."""

    def close(self) -> None:
        """Let go of it."""


class LocalBytes:
    """A file of this machine, read without moving its position: threads may share it."""

    def __init__(self, path: Path):
        self._path, self._handle = path, os.open(path, os.O_RDONLY)
        self._closed = weakref.finalize(self, os.close, self._handle)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer`.

        Raises:
            OSError: the file ends before.
        """
        while len(buffer):
            got = os.preadv(self._handle, [buffer], offset)
            if got == 0:
                raise OSError(f"{self._path} ends at {offset} bytes, before what its header names; build it again")
            buffer, offset = buffer[got:], offset + got

    def will_read(self, ranges: Iterable[tuple[int, int]]) -> None:
        """A local disk needs no notice."""

    def close(self) -> None:
        """Close the file; once is enough."""
        self._closed()


class TensorFile:
    """The header of one safetensors file (github.com/huggingface/safetensors, Format), and rows of its tensors.

    Attributes:
        shapes: of each tensor.
        dtypes: numpy's names.
        metadata: text by name.
    """

    def __init__(self, source: ByteSource):
        self._source = source
        size = np.zeros(1, "<u8")
        source.read_into(0, size.view(np.uint8).data)
        header = bytearray(int(size[0]))
        source.read_into(8, memoryview(header))
        found: dict[str, Any] = json.loads(header.decode())
        self.metadata: dict[str, str] = found.pop("__metadata__", {})
        self.shapes = {name: tuple(entry["shape"]) for name, entry in found.items()}
        self.dtypes = {name: DTYPES[entry["dtype"]] for name, entry in found.items()}
        self._begin = {name: 8 + len(header) + entry["data_offsets"][0] for name, entry in found.items()}

    def span(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop - 1` of a tensor, one read."""
        out = np.empty((stop - start, *self.shapes[name][1:]), self.dtypes[name])
        self._read(self._begin[name] + start * self._row_bytes(name), out)
        return out

    def rows(self, name: str, rows: Sequence[int], cut: tuple[int, int] | None = None) -> np.ndarray:
        """`(len(rows), ...)` rows of a tensor.

        Args:
            name: of the tensor.
            rows: numbers of rows of this file.
            cut: (axis, length): only so much of that axis, counted with the axis of rows; nothing else is read.
        """
        shape = self.shapes[name][1:]
        axis, length = (1, shape[0] if shape else 1) if cut is None else cut
        taken = (*shape[: axis - 1], length, *shape[axis:]) if shape else ()
        out = np.empty((len(rows), *taken), self.dtypes[name])
        inner = math.prod(shape[axis:]) * out.itemsize  # bytes of one step along the axis
        pieces = out.reshape(len(rows), math.prod(shape[: axis - 1]), -1) if out.size else out
        if cut is None and out.size:
            self._source.will_read([(self._begin[name] + row * self._row_bytes(name), out[0].nbytes) for row in rows])
        for index, row in enumerate(rows if out.size else ()):
            begin = self._begin[name] + row * self._row_bytes(name)
            for number, piece in enumerate(pieces[index]):
                self._read(begin + number * (shape[axis - 1] if shape else 1) * inner, piece)
        return out

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _row_bytes(self, name: str) -> int:
        return math.prod(self.shapes[name][1:]) * np.dtype(self.dtypes[name]).itemsize

    def _read(self, offset: int, out: np.ndarray) -> None:
        if out.size:
            self._source.read_into(offset, out.reshape(-1).view(np.uint8).data)


class OpenFiles:
    """Files held open, the least recently used closed first: a snapshot may have a hundred thousand, a process rarely that many
    descriptors."""

    def __init__(self, most: int = 256, source: Callable[[Path], ByteSource] = LocalBytes):
        self._most, self._open, self._source = most, OrderedDict[Path, TensorFile](), source

    def __call__(self, path: Path) -> TensorFile:
        """The file, opened where it was not.

        Raises:
            OSError, ValueError: it is not there or no safetensors file.
        """
        if path not in self._open:
            self._open[path] = TensorFile(self._source(path))
            while len(self._open) > self._most:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(path)
        return self._open[path]
