"""One attempt at a time: the ranks end with the process that started them, and a lock guards the work folder."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import AcquireReturnProxy, BaseFileLock

from media.file_lock import take_lock
from media.user_error import UserError
from training.run.launch import LAUNCHER_VARIABLE

PATIENCE = 60.0  # seconds that an orphaned attempt may take to end
# A file on a shared disk that the process that asked for the training renews: on another machine its pid says nothing.
BEAT_VARIABLE = "OMNIHUMAN_LAUNCHER_BEAT"
BEAT_SECONDS = 15.0
SILENCE_SECONDS = 300.0  # without a beat; a shared disk may stall, and caches what it knows of a file for a minute


class BusyError(UserError):
    """Another process is training into the same folder."""


def stop_with_launcher() -> None:
    """Watch the process that asked for this training from threads; exit at once when it is gone."""
    pid, beat = os.environ.get(LAUNCHER_VARIABLE), os.environ.get(BEAT_VARIABLE)
    if pid is not None:
        threading.Thread(target=_watch, args=(int(pid),), daemon=True).start()
    if beat is not None:
        threading.Thread(target=watch_beat, args=(Path(beat),), daemon=True).start()


def _watch(pid: int) -> None:
    while True:
        time.sleep(1.0)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            os._exit(1)


def watch_beat(beat: Path, silence: float = SILENCE_SECONDS, every: float = BEAT_SECONDS) -> None:
    """Exit this process once `beat` has not changed for `silence` seconds of this machine's own clock."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < silence:
        now = beat.stat().st_mtime_ns if beat.exists() else None
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(every)
    print(
        f"the process that asked for this training has not renewed {beat} for {silence:.0f} s; stopping",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


@contextmanager
def beating(beat: Path, every: float = BEAT_SECONDS) -> Iterator[None]:
    """Renew `beat` from a thread for as long as the block runs; afterwards it is gone."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.is_set():
            beat.touch()
            stop.wait(every)

    beat.touch()
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        beat.unlink(missing_ok=True)


def patience() -> float:
    """Seconds that an orphaned attempt may still hold the lock: as long as it takes to notice that nobody waits for it."""
    return PATIENCE if BEAT_VARIABLE not in os.environ else SILENCE_SECONDS + PATIENCE


def hold_alone(work: Path) -> AcquireReturnProxy[BaseFileLock]:
    """Lock `work` for a `with` block, or until `release()`.

    Raises:
        BusyError: another attempt holds it, and still does after the time in which an orphaned one ends.
    """
    busy = f"another process is training into {work}; wait for it or stop it"
    return take_lock(work / "lock", lambda: BusyError(busy), patience(), poll_interval=0.5)
