"""One process at a time makes an asset, or one shard of it; a second one that asks for the same waits."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from assets.core.workspace import Workspace

PLACES = 1 << 30


@contextmanager
def one_maker(workspace: Workspace, asset: str, shard: str | None) -> Iterator[bool]:
    """Hold the asset (or shard) for the block; gives whether another process held it and had to be waited for.

    A lock on one byte of a file per asset, so that ten thousand shards need no files of their own; it ends with the process,
    however that ends. `media.file_lock` locks whole files only, hence fcntl.
    """
    folder = workspace.var / "makers"
    folder.mkdir(parents=True, exist_ok=True)
    place = int.from_bytes(hashlib.sha256((shard or "").encode()).digest()[:8], "big") % PLACES
    with (folder / f"{asset}.lock").open("wb") as file:
        waited = False
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except BlockingIOError:
            print(f"{asset} {shard or ''} is being made by another process; waiting for it", flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX, 1, place)
            waited = True
        yield waited
