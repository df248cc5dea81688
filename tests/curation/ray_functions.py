"""What actors of the tests are given to do; each call leaves a line, so that what was done twice can be counted."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POISON = 3


@dataclass(frozen=True)
class LosesANode:
    """A function over clips of which a node that is going to be lost begins some and ends none, and nobody ends any before it has begun."""

    function: Callable[[Any, Any], Any]
    log: Path
    node: str

    def __call__(self, state: Any, item: Any) -> Any:
        import ray

        note(self.log, here := ray.get_runtime_context().get_node_id())
        while here == self.node or self.node not in self.log.read_text():
            time.sleep(0.05)
        return self.function(state, item)


@dataclass(frozen=True)
class EndsItsProcess:
    """A function over clips whose process ends on one of them, as by a fault in a decoder."""

    function: Callable[[Any, Any], Any]
    clip_id: str
    log: Path

    def __call__(self, state: Any, job: Any) -> Any:
        note(self.log, job.record["clip_id"])
        if job.record["clip_id"] == self.clip_id:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.function(state, job)


@dataclass(frozen=True)
class Given:
    """An item that leaves a line when it is given to an actor."""

    item: int
    log: Path

    def __reduce__(self):
        note(self.log, self.item)
        return Given, (self.item, self.log)


def loses_its_answer(_: Any, given: Given) -> int:
    """The process ends before anybody has heard of the first item, where another was given behind it; that one is waited for a while."""
    begun = time.monotonic()
    while given.item == 0 and time.monotonic() - begun < 1.0:
        if given.log.read_text().split()[-1] != "0":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
    return given.item


def gave_up(given: Given) -> int:
    """For an item that is given up."""
    return -1


def square_unless_poisoned(log: Path, item: int) -> int:
    """One item ends its process, as a fault in a decoder does."""
    note(log, item)
    if item == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def lost(item: int) -> int:
    """For an item that is given up."""
    return -item


def note(log: Path, item: object) -> None:
    """A line."""
    with log.open("a") as file:
        file.write(f"{item}\n")
