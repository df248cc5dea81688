"""dvc.lock stays whole: DVC writes it in place, so that a full disk or a kill in that moment leaves half of it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from assets.core.dvc_lock import DvcLock
from assets.core.names import LOCK
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from media import write_atomically

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


@contextmanager
def whole_lock(workspace: Workspace) -> Iterator[None]:
    """While DVC writes dvc.lock in the block, keep the old one under `var`; it comes back when the block fails.

    It comes back by a rename, which needs no room on a full disk. To be held inside `one_writer`.
    """
    mend_lock(workspace)
    lock, kept = workspace.root / LOCK, workspace.var / f"{LOCK}.before"
    write_atomically(kept, lock.read_bytes() if lock.is_file() else b"")
    try:
        yield
    except BaseException:
        _bring_back(workspace)
        raise
    kept.unlink()


def mend_lock(workspace: Workspace) -> bool:
    """After a process that died while DVC wrote: the old lock comes back if the new one is not whole; returns whether."""
    kept = workspace.var / f"{LOCK}.before"
    if not kept.is_file():
        return False
    if _is_whole(workspace):
        kept.unlink()
        return False
    _bring_back(workspace)
    return True


def _bring_back(workspace: Workspace) -> None:
    lock, kept = workspace.root / LOCK, workspace.var / f"{LOCK}.before"
    if kept.stat().st_size:
        os.replace(kept, lock)
    else:  # there was none before
        lock.unlink(missing_ok=True)
        kept.unlink()


def _is_whole(workspace: Workspace) -> bool:
    """It parses, has every stage that the old one had, and each with a whole hash: what is cut off lacks one of these."""
    kept = workspace.var / f"{LOCK}.before"
    try:
        made = DvcLock.read(workspace.root / LOCK).outputs()
        before = DvcLock.read(kept).outputs() if kept.stat().st_size else {}
    except AssetError:
        return False
    return before.keys() <= made.keys() and all(HASH.fullmatch(content) for content in made.values())
