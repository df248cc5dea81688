"""What DVC keeps: folders as they stand now, and folders that have been replaced.

Replaced folders are read out of DVC's cache, which holds what was committed until `dvc gc`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from assets.core.dvc_repository import open_repository
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from media.records import ProductRecord, SnapshotRecord

NOW = "data"  # where a folder lies: in the workspace, or in DVC's cache
CACHED = "DVC's cache"
SNAPSHOT_FILES = {SnapshotRecord.FILE, "samples.parquet"}
AnyRecord = TypeVar("AnyRecord", SnapshotRecord, ProductRecord)


@dataclass(frozen=True)
class CommittedFolder:
    """`files` by relative name; `listing` is the hash that dvc.lock names a cached folder by, empty in the workspace."""

    place: str
    files: dict[str, Path]
    listing: str = ""

    def record(self, kind: type[AnyRecord]) -> AnyRecord:
        """Read one of its records, under whatever name it lies."""
        return kind.read_file(self.files[kind.FILE])


def current_folders(workspace: Workspace) -> Iterator[CommittedFolder]:
    """Every folder of `data/`, with the files that lie directly in it."""
    for folder in sorted(path for path in (workspace.root / "data").glob("*") if path.is_dir()):
        yield CommittedFolder(NOW, {path.name: path for path in folder.iterdir() if path.is_file()})


def cached_folders(workspace: Workspace) -> Iterator[CommittedFolder]:
    """Every folder that DVC's cache remembers, with those of its files that are still there.

    Raises:
        AssetError: a listing that cannot be read.
    """
    if not (workspace.root / ".dvc").is_dir():
        return
    cache = cache_folder(workspace)
    for listing in sorted(cache.glob("*/*.dir")):
        files = {name: path for name, path in _listed(cache, listing).items() if path.is_file()}
        yield CommittedFolder(CACHED, files, listing.parent.name + listing.name)


def cache_folder(workspace: Workspace) -> Path:
    """Where DVC keeps what was committed; wherever its configuration says."""
    with open_repository(workspace.root) as repo:
        return Path(repo.cache.local.path)


def committed_folder(cache: Path, listing: str) -> CommittedFolder | None:
    """The folder that dvc.lock names by `listing`, with all of its files, or None where DVC's cache has not got it.

    Raises:
        AssetError: a listing that cannot be read.
    """
    path = cache / listing[:2] / listing[2:]
    return CommittedFolder(CACHED, _listed(cache, path), listing) if listing and path.is_file() else None


def snapshot_samples(workspace: Workspace, digest: str) -> Path | None:
    """samples.parquet of one snapshot, in the workspace or in DVC's cache; None where it is nowhere. Reads nothing else.

    Raises:
        AssetError: a listing of DVC's cache cannot be read.
    """
    for folder in chain(current_folders(workspace), cached_folders(workspace)):
        if set(folder.files) >= SNAPSHOT_FILES and folder.record(SnapshotRecord).digest == digest:
            return folder.files["samples.parquet"]
    return None


def _listed(cache: Path, listing: Path) -> dict[str, Path]:
    try:
        entries = json.loads(listing.read_bytes())
        return {entry["relpath"]: cache / entry["md5"][:2] / entry["md5"][2:] for entry in entries}
    except (OSError, ValueError, KeyError) as error:
        raise AssetError(f"{listing} is no listing of DVC ({error}); `dvc fetch`, or remove it") from error
