"""What DVC keeps: folders as they stand now, folders that have been replaced, and which was made from which.

Replaced folders are read out of DVC's cache, which holds what was committed until `dvc gc`. What was made from what is read
out of `dvc.lock`, today's and each that version control holds: it names a stage's inputs and outputs by content.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml

from assets.core.dvc_lock import LOCK
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


@dataclass(frozen=True)
class LockedStage:
    """One entry of a dvc.lock: hashes of the folders that it read (by asset) and made, and the settings it ran with."""

    name: str
    read: dict[str, str]
    made: str
    settings: dict[str, Any]


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
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
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


def locked_stages(workspace: Workspace, history: bool = True) -> Iterator[LockedStage]:
    """Every stage of today's dvc.lock and (`history`) of those in version control, newest first; equal ones may come again.

    Raises:
        AssetError: today's dvc.lock cannot be read.
    """
    path = workspace.root / LOCK
    if not path.is_file():
        return
    texts = [path.read_text(), *(_versions_in_git(path) if history else ())]
    for number, text in enumerate(dict.fromkeys(texts)):
        try:
            stages = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
            yield from [_stage(name, entry) for name, entry in stages.items()]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            if number == 0:
                remedy = "restore it from version control, or make the assets again"
                raise AssetError(f"{path} is no lock file of DVC ({error}); {remedy}") from error


def _stage(name: str, entry: dict[str, Any]) -> LockedStage:
    read = {Path(dep["path"]).name: dep.get("md5", "") for dep in entry.get("deps", [])}
    return LockedStage(name, read, entry["outs"][0].get("md5", ""), entry.get("params", {}).get("params.yaml", {}))


def _versions_in_git(path: Path) -> Iterator[str]:
    """The file as each commit left it; nothing where there is no version control."""
    commits = _git(path.parent, "log", "--format=%H", "--", path.name).split()
    for commit in commits:
        yield _git(path.parent, "show", f"{commit}:./{path.name}")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine: then there is no history either
        return ""
    return done.stdout if done.returncode == 0 else ""
