"""Who may read what holds faces, voices and keys: its owner alone, or his group where `$OMNIHUMAN_ACCESS` says so.

Everything that is written takes its permissions from the process' umask, and so do the processes that it starts. Whoever writes into a
home sets it once, at the beginning.
"""

import os
import stat
from pathlib import Path

from media.user_error import UserError

VARIABLE = "OMNIHUMAN_ACCESS"
UMASKS = {"owner": 0o077, "group": 0o007}


class AccessError(UserError):
    """A value of `$OMNIHUMAN_ACCESS` that is none."""


def chosen_umask() -> int:
    """What `$OMNIHUMAN_ACCESS` takes away; without it, everything from everybody but the owner.

    Raises:
        AccessError: the variable has another value.
    """
    chosen = os.environ.get(VARIABLE) or "owner"
    if chosen not in UMASKS:
        raise AccessError(f"{VARIABLE} is {chosen!r}; set it to {' or '.join(UMASKS)}")
    return UMASKS[chosen]


def keep_private() -> None:
    """Let this process and those that it starts write for the owner alone, or for his group.

    Raises:
        AccessError: as `chosen_umask`.
    """
    os.umask(chosen_umask())


def others_may_read(file: Path) -> bool:
    """Whether anybody but its owner may read or write a file. Raises OSError."""
    return bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
