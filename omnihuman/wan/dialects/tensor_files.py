"""Safetensors files by header and bytes: what a file says of its tensors, and the same tensors under other names, copied and never computed with.

Format: 8 bytes of length, little endian; a JSON header of `{name: {dtype, shape, data_offsets}}` with optional `__metadata__` of strings; the
tensors' bytes (https://github.com/huggingface/safetensors).
"""

import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from media.files import whole_file
from media.user_error import UserError

# Bytes of a number, by the name that headers give its kind.
BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
LARGEST_HEADER = 100_000_000  # as the format's own reader has it
PIECE = 16 * 2**20


class TensorFileError(UserError, ValueError):
    """A file that is no whole safetensors file; the message names it and what to do."""


@dataclass(frozen=True)
class StoredBytes:
    """A tensor as it lies in a file, or a small one that lies in memory.

    Attributes:
        dtype: as headers name it, `BF16`.
        shape: of the tensor.
        file: where its bytes are; None for those in `held`.
        start: of its bytes in the file.
        held: its bytes, where there is no file.
    """

    dtype: str
    shape: tuple[int, ...]
    file: Path | None = None
    start: int = 0
    held: bytes = b""

    @property
    def size(self) -> int:
        """Bytes."""
        return BYTES[self.dtype] * prod(self.shape)

    def read(self) -> bytes:
        """Its bytes."""
        if self.file is None:
            return self.held
        with self.file.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.size)


@dataclass(frozen=True)
class TensorFile:
    """What a file's header says: its tensors by name in the order of their bytes, and its metadata."""

    path: Path
    tensors: dict[str, StoredBytes]
    metadata: dict[str, str]


def read_header(path: Path) -> TensorFile:
    """Read a header, and hold it against the file's length.

    Raises:
        TensorFileError: no safetensors file, or one that is cut off.
        FileNotFoundError: no such file.
    """
    length = path.stat().st_size
    with path.open("rb") as opened:
        head = opened.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= size <= LARGEST_HEADER:
            raise TensorFileError(f"{path} is no safetensors file: it does not begin with a header's length")
        if 8 + size > length:
            raise TensorFileError(f"{path} is cut off within its header, or no safetensors file: fetch it again")
        text = opened.read(size)
    try:
        return _checked(path, json.loads(text), 8 + size, length)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, TensorFileError):
            raise
        raise TensorFileError(f"{path} is no safetensors file: its header cannot be read ({error!r})") from error


def _checked(path: Path, header: dict[str, Any], begin: int, length: int) -> TensorFile:
    metadata = {str(name): str(value) for name, value in (header.pop("__metadata__", None) or {}).items()}
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
        start, end = (int(at) for at in entry["data_offsets"])
        if entry["dtype"] not in BYTES:
            raise TensorFileError(
                f"{path}: {name} is of kind {entry['dtype']}, of which it is not known how many bytes it has"
            )
        stored = StoredBytes(entry["dtype"], tuple(int(n) for n in entry["shape"]), path, begin + start)
        if end - start != stored.size or start < 0:
            raise TensorFileError(
                f"{path}: {name} of {stored.shape} in {stored.dtype} does not fill its {end - start} bytes"
            )
        if begin + end > length:
            raise TensorFileError(
                f"{path} is cut off: {name} ends {begin + end - length:,} bytes behind its end; fetch it again"
            )
        tensors[name] = stored
    return TensorFile(path, tensors, metadata)


def write_tensors(
    path: Path,
    tensors: Mapping[str, StoredBytes],
    metadata: Mapping[str, str],
    told: Callable[[int], None] = lambda done: None,
) -> None:
    """Write a file whole or not at all; the kernel copies the bytes, in pieces of 16 MiB.

    Args:
        path: of the new file.
        tensors: in the order in which their bytes shall lie.
        metadata: of the header; `format: pt` is added, without which some readers refuse a file.
        told: is called with the bytes written so far.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for name, stored in tensors.items():
        header[name] = {"dtype": stored.dtype, "shape": list(stored.shape), "data_offsets": [at, at + stored.size]}
        at += stored.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the bytes begin at a multiple of 8, as the format asks
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        done = 0
        for run in _runs(tensors.values()):
            done = _copy(run, out, done, told)


def _runs(tensors: Iterable[StoredBytes]) -> list[StoredBytes]:
    """Tensors that follow each other in a file as one stretch of bytes, so that they are copied at once."""
    out: list[StoredBytes] = []
    for stored in tensors:
        last = out[-1] if out else None
        if (
            last is not None
            and last.file is not None
            and (last.file, last.start + last.size) == (stored.file, stored.start)
        ):
            out[-1] = replace(last, shape=(last.size + stored.size,))
        else:
            out.append(StoredBytes("U8", (stored.size,), stored.file, stored.start, stored.held))
    return out


def _copy(run: StoredBytes, out: Any, done: int, told: Callable[[int], None]) -> int:
    if run.file is None:
        out.write(run.held)
        return done + run.size
    out.flush()
    with run.file.open("rb") as source:
        end, at = run.start + run.size, run.start
        while at < end:
            # The kernel copies: the bytes do not pass through this process.
            copied = os.sendfile(out.fileno(), source.fileno(), at, min(PIECE, end - at))
            if not copied:
                raise TensorFileError(f"{run.file} became shorter while it was read")
            at += copied
            told(done + at - run.start)
    return done + run.size
