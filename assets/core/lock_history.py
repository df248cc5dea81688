"""What was made from what: every stage of today's dvc.lock, and of those that version control holds."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from assets.core.dvc_lock import DvcLock, LockedStage
from assets.core.names import LOCK
from assets.core.steps import AssetError
from assets.core.workspace import Workspace


def locked_stages(workspace: Workspace) -> Iterator[LockedStage]:
    """Give every stage of today's dvc.lock and of its earlier versions, newest first; equal ones may come again.

    Raises:
        AssetError: today's dvc.lock cannot be read.
    """
    path = workspace.root / LOCK
    if not path.is_file():
        return
    yield from DvcLock.read(path).stages.values()
    for text in dict.fromkeys(_versions_in_git(path)):
        try:
            earlier = DvcLock.parse(text, str(path))
        except AssetError:  # a commit may hold a broken one: it proves nothing
            continue
        yield from earlier.stages.values()


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
