"""Which commit of this project something was made by. Nothing of MLflow is imported."""

import subprocess
from pathlib import Path


def git_commit() -> str:
    """The commit of this code, with `-dirty` when tracked files have changes, or "none" outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        dirty = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head + ("-dirty" if dirty else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
