"""The data that people are made of: a mesh, its shapes, rig and face units, all CC0. `build.py` makes it, `LICENSE.txt` says whose it is."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from media.user_error import UserError

PACK = Path(__file__).with_name("people.npz")
STEP = 2e-4  # decimetres a count of a stored offset
PACK_DIGEST = "5b7aabdfb61ee2015eb4af2bbd5c7cd02a25ebb7fae147e4b2b7584d62438430"


class PackError(UserError, RuntimeError):
    """The data pack is missing, damaged or made of something else; the message says what to do."""


def digest(arrays: dict[str, np.ndarray]) -> str:
    """sha256 over names, types, shapes and values, as 64 hex digits: independent of how they were compressed."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return total.hexdigest()


@cache
def load() -> dict[str, np.ndarray]:
    """All arrays as stored (`build.py` says what each is).

    Raises:
        PackError: the file is missing or not the one that this version was written for.
    """
    if not PACK.is_file():
        raise PackError(
            f"no {PACK}; install the package again, or make it with `python -m people.pack.build --wheel WHEEL`"
        )
    with np.load(PACK, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if (found := digest(arrays)) != PACK_DIGEST:
        raise PackError(f"{PACK} has digest {found}, not {PACK_DIGEST}; restore the file from the repository")
    return arrays
