"""One attempt at a time: the ranks end with the process that started them, and a lock guards the work folder."""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import IO

from training.launch import LAUNCHER_VARIABLE

PATIENCE = 60.0  # seconds that an orphaned attempt may take to notice and end


class BusyError(RuntimeError):
    """Another process is training into the same folder."""


def stop_with_launcher() -> None:
    """Watch the process that asked for this training from a thread; exit at once when it is gone."""
    pid = os.environ.get(LAUNCHER_VARIABLE)
    if pid is not None:
        threading.Thread(target=_watch, args=(int(pid),), daemon=True).start()


def _watch(pid: int) -> None:
    while True:
        time.sleep(1.0)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            os._exit(1)


def hold_alone(work: Path) -> IO[str]:
    """Lock `work` for as long as the returned file is open.

    Raises:
        BusyError: another attempt holds it, and still does after a minute.
    """
    work.mkdir(parents=True, exist_ok=True)
    lock = (work / "lock").open("w")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise BusyError(f"another process is training into {work}; wait for it or stop it") from error
            time.sleep(0.5)
