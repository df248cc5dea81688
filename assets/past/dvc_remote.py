"""The second place of everything that DVC versions: a remote, pushed after each snapshot and each promoted model.

A remote that cannot be reached spoils nothing: what was made is made and in DVC's cache; which states have not got there yet
is known, said, and tried again with the next push.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml

from assets.core.dvc_cache import cache_folder, committed_folder
from assets.core.dvc_repository import open_repository
from assets.core.dvc_stages import SETTINGS
from assets.core.dvc_yaml import parse_text
from assets.core.names import LOCK
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.past.restore_points import STAGES, RestorePoint, restore_points
from media import write_atomically
from media.store.listing import fetch_folders
from media.store.objects import ObjectStore

REMOTE_VARIABLE = "OMNIHUMAN_REMOTE"
NAME = "storage"
OWN_REMOTE = "dvc_remote"  # folder under `var`
NO_REMOTE = "none"
POINT_FILES = {LOCK: LOCK, STAGES: "dvc.yaml", "params.yaml": "params.yaml"}  # in the state, in a repository


@dataclass(frozen=True)
class Pushed:
    """`remote` is an address, or empty where there is none; `waiting` names the states that it lacks, `why` says why."""

    remote: str
    done: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        if not self.remote:
            return "no DVC remote"
        if self.waiting:
            states = ", ".join(self.waiting)
            return f"not pushed to {self.remote} ({self.why}): {states}; all is in DVC's cache, `omnihuman push` tries again"
        return f"{self.remote} has every restore point"


def name_remote(workspace: Workspace) -> str:
    """Write `$OMNIHUMAN_REMOTE` into `.dvc/config.local`, or without it and without any remote a folder under `var`.

    A remote that `.dvc/config` names is left alone. Returns the address, empty for `OMNIHUMAN_REMOTE=none`.
    """
    wanted, own = os.environ.get(REMOTE_VARIABLE, ""), workspace.var / OWN_REMOTE
    if wanted == NO_REMOTE:
        return ""
    with open_repository(workspace.root) as repo:
        default = repo.config["core"].get("remote")
        present = str(repo.config["remote"].get(default, {}).get("url", "")) if default else ""
        moved = not wanted and _is_of_another_place(present, own) and "dir" not in repo.config["cache"]
        if present and wanted in ("", present) and not moved:
            return present
        if moved:
            print(
                f"note: this home was elsewhere, and goes on with the remote {own} instead of {present}",
                file=sys.stderr,
            )
        with repo.config.edit("local") as config:
            # As seen from here: DVC then keeps it as seen from its configuration, and it moves with the home.
            config["remote"][NAME] = {"url": wanted or os.path.relpath(own)}
            config["core"]["remote"] = NAME
    return wanted or str(own)


def _is_of_another_place(address: str, own: Path) -> bool:
    """Whether it is the folder that a home pushes to by default, but another home's. One that was restored out of another home
    shares that one's cache and remote on purpose; its configuration names the cache."""
    place = Path(address)
    return place.is_absolute() and place.parts[-2:] == own.parts[-2:] and place.resolve() != own.resolve()


def push_restore_points(workspace: Workspace) -> Pushed:
    """Push every state that the remote has not got yet; never raises for a remote that fails."""
    remote = name_remote(workspace)
    if not remote:
        return Pushed("")
    done: list[str] = []
    waiting, why = [point for point in restore_points(workspace) if not _marker(workspace, point, remote).is_file()], ""
    while waiting:
        try:
            why = _push(workspace, waiting[0])
        except Exception as error:  # noqa: BLE001 - each remote's library has errors of its own, and none may undo an asset
            why = f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"[:500]
        if why:
            break
        point = waiting.pop(0)
        write_atomically(_marker(workspace, point, remote), b"")
        done.append(point.name)
    return Pushed(remote, tuple(done), tuple(point.name for point in waiting), why)


def _push(workspace: Workspace, point: RestorePoint) -> str:
    """Push one state; what is wrong with it, or nothing. DVC itself takes it for success when the cache lacks files."""
    lacking = missing_outputs(workspace, point)
    if lacking:
        return f"DVC's cache lacks {', '.join(lacking)}"
    with point_repository(workspace, point) as repo:
        repo.push()
        absent = repo.status(cloud=True)
    return f"{len(absent)} files did not arrive" if absent else ""


def fetch_point(workspace: Workspace, point: RestorePoint) -> int:
    """Bring what DVC's cache lacks of a state; returns how many folders lacked something.

    DVC is asked first; what it does not bring is read out of the remote without it (`media.store.listing`).

    Raises:
        AssetError: neither cache nor remote has it.
        media.store.objects.StoreError: the remote cannot be read, or lacks a file; the message says which.
    """
    lacking = missing_outputs(workspace, point)
    if not lacking:
        return 0
    remote = name_remote(workspace)
    why = "there is no DVC remote"
    if remote:
        try:
            with point_repository(workspace, point) as repo:
                repo.fetch()
            why = f"{remote} has not got them either"
        except Exception as error:  # noqa: BLE001 - as above: the library of the remote decides what it raises
            why = f"{remote} gave {type(error).__name__}: {str(error).strip()[:300]}"
    still = missing_outputs(workspace, point)
    if still and remote:
        print(
            f"note: DVC did not bring {', '.join(still)}, {why}; asking {remote} for the files by their hashes",
            file=sys.stderr,
        )
        fetch_folders(ObjectStore(remote), [point.outputs[name] for name in still], cache_folder(workspace))
        still = missing_outputs(workspace, point)
    if still:
        raise AssetError(
            f"DVC's cache lacks {', '.join(still)} of {point.name}, and {why}; name the remote that has them by {REMOTE_VARIABLE}, "
            "or copy the cache of the machine that made them"
        )
    return len(lacking)


def missing_outputs(workspace: Workspace, point: RestorePoint) -> list[str]:
    """Assets of a state of which DVC's cache lacks a file."""
    cache = cache_folder(workspace)
    folders = {name: committed_folder(cache, listing) for name, listing in point.outputs.items()}
    return [
        name
        for name, folder in folders.items()
        if folder is None or not all(path.is_file() for path in folder.files.values())
    ]


@contextmanager
def point_repository(workspace: Workspace, point: RestorePoint) -> Iterator[Repo]:
    """Lay a state out as a DVC repository of its stages alone, for the moment, with the workspace's cache and remote and no data.

    DVC would read the whole dvc.yaml, dvc.lock and params.yaml again for each stage that a command names.
    """
    workspace.var.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".tmp-point-", dir=workspace.var))
    try:
        lay_out(workspace, point, folder)
        stages = parse_text((point.folder / STAGES).read_text(), str(point.folder / STAGES))["stages"]
        own = {"stages": {name: stages[name] for name in point.outputs}}
        write_atomically(folder / "dvc.yaml", dumps_yaml(own).encode())
        with Repo(str(folder)) as made, made.config.edit("local") as config:
            # What DVC remembers of a repository by its path ends with this one.
            config["core"]["site_cache_dir"] = str(folder / "site")
        with chdir(folder), Repo(str(folder)) as repo:
            yield repo
    finally:
        shutil.rmtree(folder)


def lay_out(workspace: Workspace, point: RestorePoint, folder: Path) -> None:
    """Make `folder` a DVC repository of this state, data not yet brought; one that is there already stays."""
    remote = name_remote(workspace)
    with open_repository(workspace.root) as source:
        if not (folder / ".dvc").is_dir():
            with Repo.init(str(folder), no_scm=True) as repo, repo.config.edit() as config:
                for section, values in SETTINGS.items():
                    config[section].update(values)
                config["cache"]["dir"] = source.cache.local_cache_dir
        if remote:
            with Repo(str(folder)) as repo, repo.config.edit("local") as config:
                # Address, credentials and endpoint; local, because secrets belong into no version control.
                there = dict(source.config["remote"][source.config["core"]["remote"]])
                config["remote"][NAME] = {**there, "url": str(there["url"])}  # whole, for it is another home's
                config["core"]["remote"] = NAME
    for name, here in POINT_FILES.items():
        write_atomically(folder / here, (point.folder / name).read_bytes())


def _marker(workspace: Workspace, point: RestorePoint, remote: str) -> Path:
    """Stands once the remote has this state; another lock or another remote has another marker."""
    parts = json.dumps([remote, point.outputs], sort_keys=True)
    return workspace.var / "pushed" / hashlib.sha256(parts.encode()).hexdigest()[:32]
