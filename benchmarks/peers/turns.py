"""Two processes that work in turns, and what each turn took."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")
}


class SideFailed(Exception):
    """A side cannot be run; the message is the first line of the error."""


@dataclass(frozen=True)
class Turns:
    """CPU seconds of each turn of both sides, in the order in which they were taken, and what the last turns found."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    our_find: dict[str, Any]
    their_find: dict[str, Any]

    @property
    def ratios(self) -> np.ndarray:
        """`(rounds,)`: the peer's seconds over ours, of neighbouring turns."""
        return np.asarray(self.theirs) / np.asarray(self.ours)


class Side:
    """A module of `ours` or `theirs` at work in a process of its own."""

    def __init__(self, python: str, module: str, folder: Path, beside: tuple[str, ...] = ()):
        """`folder` holds the inputs and takes a log; `beside` are folders to import from as well."""
        self._log = folder / f"{module}.log"
        environment = os.environ | ONE_THREAD | {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *beside])
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [python, "-W", "ignore", "-m", "benchmarks.peers.worker", module, str(folder)],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def answer(self, case: str) -> dict[str, Any]:
        """What the process says of `case`: at first that it is ready, then a turn each time.

        Raises:
            SideFailed: the case cannot be prepared or run.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{case}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"failed": f"the process ended; see {self._log}"}
        if "failed" in answer:
            raise SideFailed(answer["failed"])
        return answer

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def take_turns(ours: Side, theirs: Side, case: str, rounds: int) -> Turns:
    """Let both prepare `case`, then alternate, beginning with each side as often as the other.

    Raises:
        SideFailed: one of them cannot.
    """
    sides = (ours, theirs)
    seconds: tuple[list[float], list[float]] = ([], [])
    found: list[dict[str, Any]] = [{}, {}]
    for side in sides:
        side.answer(case)
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            answer = sides[side].answer(case)
            seconds[side].append(answer["cpu_seconds"])
            found[side] = answer["found"]
    return Turns(tuple(seconds[0]), tuple(seconds[1]), found[0], found[1])


def own_side(module: str, folder: Path) -> Side:
    """This project's side, in the Python that runs."""
    return Side(sys.executable, module, folder)
