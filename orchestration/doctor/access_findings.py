"""What `omnihuman doctor` says of who else can read a home: folders with faces and voices, files with keys."""

import os
import stat
from pathlib import Path

from assets.core.workspace import Workspace
from media.access import VARIABLE, AccessError, chosen_umask
from orchestration.doctor.finding import Finding


def access(workspace: Workspace) -> Finding:
    """Every folder and file that holds faces, voices or keys is its owner's, and his group's where that is chosen."""
    try:
        umask = chosen_umask()
    except AccessError as error:
        return Finding("access", False, str(error))
    folders = [workspace.inbox, workspace.root / "data", workspace.var, workspace.root / ".dvc" / "cache"]
    there = [place for place in (*folders, workspace.root / ".dvc" / "config.local") if place.exists()]
    wide = [f"{place} to {who}" for place in there for who in [_others(place.resolve(), umask)] if who]
    if wide:
        letters = "o" if umask == 0o007 else "go"
        remedy = f"close it with `chmod -R {letters}-rwx`, or let the group in with {VARIABLE}=group"
        return Finding("access", False, f"faces, voices or keys are open: {', '.join(wide)}; {remedy}")
    whose = "the owner's and his group's" if umask == 0o007 else "the owner's alone"
    return Finding("access", True, f"inbox, data, stores and keys are {whose}")


def _others(place: Path, umask: int) -> str:
    """Who beside those that may comes in: a folder on the way that lets nobody through closes all below it."""
    who = []
    for name, enter, bits in (("the group", stat.S_IXGRP, stat.S_IRWXG), ("everybody", stat.S_IXOTH, stat.S_IRWXO)):
        if umask & bits and place.stat().st_mode & bits and all(_enters(folder, enter) for folder in place.parents):
            who.append(name)
    return " and ".join(who)


def _enters(folder: Path, bit: int) -> bool:
    return bool(os.stat(folder).st_mode & bit)
