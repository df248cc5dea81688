"""Open files as C2PA's library reads and writes them, without a way through Python for each of its calls.

Signing a short film takes it about 250 reads, 500 seeks and 7 writes, most of eight bytes. c2pa-python answers each in Python; here the library is given the
system's own functions. They fit as they are: what a stream's functions are called with first, its context, is the file's descriptor
(docs/decisions/0069-the-library-reads-files-itself.md).
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import c2pa
from c2pa import c2pa as library

ROOM = 2**20  # bytes: more than a manifest takes
_system = ctypes.CDLL(None)
_READ = ctypes.cast(_system.read, library.ReadCallback)
_SEEK = ctypes.cast(_system.lseek, library.SeekCallback)
_WRITE = ctypes.cast(_system.write, library.WriteCallback)
_FLUSH = library.FlushCallback(lambda context: 0)  # nothing is held back


@dataclass(frozen=True)
class _Stream:
    """What c2pa-python asks of a stream that it did not make."""

    _stream: Any


@contextmanager
def _stream_of(descriptor: int) -> Iterator[_Stream]:
    context = ctypes.cast(descriptor, library._lib.c2pa_create_stream.argtypes[0])
    made = library._lib.c2pa_create_stream(context, _READ, _SEEK, _WRITE, _FLUSH)
    try:
        yield _Stream(made)
    finally:
        library._lib.c2pa_release_stream(made)


def sign_file(builder: c2pa.Builder, signer: c2pa.Signer, kind: str, source: int, destination: int) -> None:
    """Write a file with its manifest.

    Args:
        builder: of the manifest; used up by it.
        signer: whose key.
        kind: MIME type.
        source: descriptor of the file, open for reading.
        destination: descriptor of an empty file, open for both.

    Raises:
        OSError: the disk is full, or the file may not become that large.
        c2pa.C2paError: anything else.
    """
    with _stream_of(source) as reading, _stream_of(destination) as writing:
        try:
            builder._sign_internal(kind, reading, writing, signer=signer)
        except c2pa.C2paError:
            # The library does not say that there is no room; the system does, asked for as much.
            os.posix_fallocate(destination, 0, os.fstat(source).st_size + os.fstat(destination).st_size + ROOM)
            raise
