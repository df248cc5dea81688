"""Compare two ways of doing one thing: runs alternate, and the minima are compared, because the machine is noisy."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Fastest seconds of each side; `ratio` is ours over theirs."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 7) -> Comparison:
    """Warm each up once, then alternate `rounds` times."""
    best = [float("inf"), float("inf")]
    ours(), theirs()
    for _ in range(rounds):
        for side, call in enumerate((ours, theirs)):
            started = time.perf_counter()
            call()
            best[side] = min(best[side], time.perf_counter() - started)
    return Comparison(*best)
