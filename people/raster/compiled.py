"""The compiled rasteriser: built by the system's compiler when it is first asked for, and kept in a folder of the user's."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from media.user_error import UserError

SOURCE = Path(__file__).with_name("raster.cpp")
# No -ffast-math and no fused multiply-add: pictures would differ from machine to machine.
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
COMPILERS = ("c++", "g++", "clang++")


class CompilerError(UserError, RuntimeError):
    """The compiler that was found cannot build the rasteriser."""


def cache_folder() -> Path:
    """Where built libraries lie: `$OMNIHUMAN_CACHE`, else `omnihuman` in the user's cache folder."""
    chosen = os.environ.get("OMNIHUMAN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omnihuman"


def compiler() -> str | None:
    """`$CXX` or the first of `COMPILERS` on the path, or None."""
    for name in (os.environ.get("CXX", ""), *COMPILERS):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def build(folder: Path) -> Path:
    """Compile `raster.cpp` into `folder` unless it is there; whole or not at all, whoever else builds at the same time.

    Raises:
        CompilerError: the compiler failed.
    """
    source = SOURCE.read_bytes()
    digest = hashlib.sha256(source + " ".join((*FLAGS, platform.machine())).encode()).hexdigest()
    library = folder / f"people-raster-{digest[:16]}.so"
    if library.exists():
        return library
    found = compiler()
    if found is None:
        raise CompilerError("no C++ compiler on the path; install g++ or clang++, or set CXX")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        made = Path(place) / "raster.so"
        result = subprocess.run([found, *FLAGS, "-o", str(made), str(SOURCE)], capture_output=True, text=True)
        if result.returncode:
            raise CompilerError(
                f"{found} cannot build {SOURCE}: {result.stderr.strip()[-500:]}; install a C++17 compiler or set CXX"
            )
        os.replace(made, library)
    return library


@cache
def library() -> ctypes.CDLL:
    """The rasteriser, built if need be.

    Raises:
        CompilerError: no compiler, or it failed.
    """
    return ctypes.CDLL(str(build(cache_folder())))


def pointer(array: np.ndarray, dtype: type[np.generic]) -> ctypes.c_void_p:
    """Address of an array that must already lie as C expects it.

    Raises:
        TypeError: another type, or not contiguous.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(
            f"the rasteriser takes contiguous {np.dtype(dtype)}, got {array.dtype} of strides {array.strides}"
        )
    return ctypes.c_void_p(array.ctypes.data)
