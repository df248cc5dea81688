"""The one door to DVC's repository of a home: as it is under git, and without git where there is none, as in an unpacked archive."""

from pathlib import Path
from typing import TYPE_CHECKING

from assets.core.dvc_yaml import read_once

if TYPE_CHECKING:
    from dvc.repo import Repo


def open_repository(root: Path, wait: bool = False) -> "Repo":
    """DVC's repository in `root`; `wait` for another process's lock instead of giving up after seconds."""
    from dvc.repo import Repo

    read_once()
    leave_git_out(root)
    return Repo(str(root), _wait_for_lock=wait)


def leave_git_out(root: Path) -> None:
    """Where `.dvc` came without the git that it was made under, have DVC go on without, also when typed by hand.

    `.dvc/config` is under version control and says that there is git; `.dvc/config.local` is of this copy alone.
    """
    from dvc.config import Config

    if not (root / ".dvc" / "config").is_file() or under_git(root):
        return
    config = Config(str(root / ".dvc"))
    if not config["core"].get("no_scm", False):
        with config.edit("local") as own:
            own["core"]["no_scm"] = True


def under_git(folder: Path) -> bool:
    """Whether git has `folder` in a working tree, asked of the files: git itself need not be installed."""
    return any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents))


def cache_elsewhere(root: Path) -> Path | None:
    """The folder that the configuration names for DVC's cache, as a home does that was restored out of another; None for its own."""
    from dvc.config import Config

    named = Config(str(root / ".dvc"))["cache"].get("dir")
    return None if named is None else Path(named)
