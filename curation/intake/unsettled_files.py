"""Which files of the inbox are still being written: those that changed a moment ago and those that change between looks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from curation.intake.sidecar import sidecar_path

# A copy that stalls for longer than this is taken for whole, quarantined as truncated, and taken in again when it is whole:
# its content is then another.
SETTLE_SECONDS = 30.0


class Look(NamedTuple):
    """How a file was found: bytes, time of change in nanoseconds, and the time (seconds) since when it looks like this."""

    size: int
    modified_ns: int
    since: float


def unsettled(paths: Iterable[Path], earlier: Mapping[Path, Look], now: float) -> dict[Path, Look]:
    """Those of `paths` that are to be left for a later look, with how they look now.

    A file has settled when it, and the sidecar beside it, changed `SETTLE_SECONDS` ago or more, or have looked the same for so
    long: the second holds where the writer's clock is ahead of this one's or this one was set back.

    Args:
        paths: files of the inbox.
        earlier: what the last look returned.
        now: seconds since the epoch.
    """
    found = {}
    for path in paths:
        state = _state(path)
        if state is None:  # gone since it was listed
            continue
        size, modified_ns = state
        if now - modified_ns / 1e9 >= SETTLE_SECONDS:
            continue
        before = earlier.get(path)
        since = before.since if before is not None and before[:2] == state and before.since <= now else now
        if now - since < SETTLE_SECONDS:
            found[path] = Look(size, modified_ns, since)
    return found


def _state(path: Path) -> tuple[int, int] | None:
    """Bytes of both files, and the later change."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    try:
        beside = sidecar_path(path).lstat()
    except FileNotFoundError:
        return status.st_size, status.st_mtime_ns
    return status.st_size + beside.st_size, max(status.st_mtime_ns, beside.st_mtime_ns)
