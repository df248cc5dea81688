"""One side of comparisons in a process of its own: `python -m benchmarks.peers.worker MODULE FOLDER` answers a line a request, in JSON.

It imports nothing of this project or of a peer itself, so that it runs in either environment.
"""

import importlib
import json
import os
import sys
import time
from typing import Any


def main(module: str, folder: str) -> None:
    """For each case of standard input: prepare it where it is another than the last, else take a turn and say what it found and its CPU seconds."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is not an answer
    turn, prepared = None, ""
    for line in sys.stdin:
        case = line.strip()
        answer: dict[str, Any]
        try:
            if turn is None or case != prepared:
                turn = importlib.import_module(module).prepare(case, folder)
                prepared = case
                answer = {"ready": case}
            else:
                began = _cpu()
                found = turn()
                answer = {"cpu_seconds": _cpu() - began, "found": found}
        except Exception as error:  # whatever a peer raises is a row of the table
            turn = None
            sys.excepthook(type(error), error, error.__traceback__)
            first = (str(error).strip() or "no message").splitlines()[0]
            answer = {"failed": f"{type(error).__name__}: {first}"}
        sys.stdout.flush()  # this process ends by being killed
        answers.write(json.dumps(answer) + "\n")


def _cpu() -> float:
    """Of this process with its threads, and of children that ended."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


if __name__ == "__main__":
    main(*sys.argv[1:])
