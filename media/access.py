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


def mode_of_new(full: int) -> int:
    """`full` permissions less this process' umask: what `open` and `mkdir` give, for files that were made narrower at first."""
    return full & ~_umask()


def others_may_read(file: Path) -> bool:
    """Whether anybody but its owner may read or write a file. Raises OSError."""
    return bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _umask() -> int:
    # Linux tells it; elsewhere it can only be asked by changing it, for an instant, under other threads.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    present = os.umask(0o077)
    os.umask(present)
    return present
