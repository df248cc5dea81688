"""Weights that two registered versions have in common, held once on disk."""

import filecmp
import os
from collections.abc import Iterable
from pathlib import Path

WEIGHTS = ".safetensors"


def hold_once(folder: Path, others: Iterable[Path]) -> int:
    """Put hard links in place of weights in `folder` that stand under the same name in one of `others`, byte for byte.

    Bytes are compared, not the signed lists of both: a list says what a file was, and a link to one that was damaged since would spoil this one.
    A disk without links, or another one, is no error: the copy stays.

    Returns:
        How many bytes are held once that were held twice.
    """
    there, saved = list(others), 0
    for file in sorted(folder.rglob(f"*{WEIGHTS}")):
        same = (other / file.relative_to(folder) for other in there)
        found = next((other for other in same if other.is_file() and filecmp.cmp(file, other, shallow=False)), None)
        if found is not None and not found.samefile(file):
            saved += file.stat().st_size * _linked(found, file)
    return saved


def _linked(found: Path, file: Path) -> bool:
    """Whether `file` could be made a link to what was found."""
    beside = file.with_name(f".{file.name}.link")
    try:
        os.link(found, beside)
    except OSError:
        return False
    beside.replace(file)
    return True
