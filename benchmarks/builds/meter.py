"""Runs a command and says what it and everything that it started used: `python meter.py RESULT COMMAND...`. It imports nothing but Python's own.

Processes that outlive their parents come to this one, so that they are counted too: CPU seconds are of all that ended, memory is the largest
process's. Asked to end, or left alone by whoever started it, it interrupts the command; asked again, it kills it.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

SUBREAPER, PARENT_DEATH_SIGNAL = 36, 1  # prctl(2)
PATIENCE = 30.0  # seconds that what is left after the command may take


def main(result: Path, command: list[str]) -> int:
    """Run it to its end and write wall seconds, CPU seconds, the largest process's GiB and the exit code, which is also this one's."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SUBREAPER, 1)
    prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    asked: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for one in started:
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGINT if len(asked) == 1 else signal.SIGKILL)

    # Before the command starts: signals that are handled here are no longer ignored there, as they are below nohup.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    began = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True)
    started.append(process)
    code = process.wait()
    wall = time.monotonic() - began
    _wait_for_others()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "gib": used.ru_maxrss / 2**20, "code": code}
    result.write_text(json.dumps(found))
    return code if code >= 0 else 128 - code


def _wait_for_others() -> None:
    """Wait for what the command left behind; after `PATIENCE` it is killed."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            continue
        if time.monotonic() > deadline:
            for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
