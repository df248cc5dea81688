"""Formats of weights that are no safetensors: told apart by their first bytes, whatever their names say."""

import struct
from pathlib import Path
from typing import BinaryIO

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04")
_UNKNOWN = "of an unknown architecture"


def is_pickle(path: Path) -> bool:
    """Whether a file begins as pickles do, those of torch among them."""
    with path.open("rb") as opened:
        return opened.read(4).startswith(_PICKLES)


def gguf_architecture(path: Path) -> str | None:
    """`general.architecture` of a GGUF file, by convention its first entry, as the format of ggml-org/ggml is described; None for another file."""
    with path.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            return None
        try:
            return _architecture(opened)
        except struct.error:  # it ends here
            return _UNKNOWN


def _architecture(opened: BinaryIO) -> str:
    version, _, entries = struct.unpack("<IQQ", opened.read(20))
    if not entries or version < 2:
        return _UNKNOWN
    (length,) = struct.unpack("<Q", opened.read(8))
    key = opened.read(min(length, 256))
    kind, size = struct.unpack("<IQ", opened.read(12))
    if key != b"general.architecture" or kind != 8:
        return _UNKNOWN
    return opened.read(min(size, 64)).decode(errors="replace")
