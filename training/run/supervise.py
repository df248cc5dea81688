"""Between whoever asked for a training and the DeepSpeed launcher: a request to end becomes a checkpoint, not a lost hour.

`python -m training.run.supervise STOP COMMAND...` runs the command. On SIGTERM or SIGINT it writes the file STOP, which the ranks look
for after each step (`training.run.stopping`); a second signal goes on to the command, whose DeepSpeed launcher ends the ranks at once.
"""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)
STOPPED = 75  # exit code of a training that ended on request: EX_TEMPFAIL of sysexits.h, "try again later"; also what the DeepSpeed launcher then ends with


def supervise(stop: Path, command: list[str]) -> int:
    """Run `command` to its end and return its exit code, 128 + n where signal n ended it."""
    stop.unlink(missing_ok=True)
    process = subprocess.Popen(command, preexec_fn=_begin)
    ask_to_stop(stop, lambda: process.send_signal(signal.SIGTERM))
    code = process.wait()
    return code if code >= 0 else 128 - code


def ask_to_stop(stop: Path, end: Callable[[], None]) -> None:
    """From now on a first SIGTERM or SIGINT writes the file `stop`, and a second calls `end`."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) == 1:
            stop.touch()
            print(
                f"{signal.Signals(number).name}: the training is asked to write a checkpoint and to end; once more ends it at once",
                flush=True,
            )
        else:
            end()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def _begin() -> None:
    """Signals as a fresh shell would give them, for what ignores or blocks one hands that on. And if this process is killed
    with -9 it can pass nothing on: the kernel then does."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    end_with_parent()


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when the one that started it ends, killed too."""
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, number)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
