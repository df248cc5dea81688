"""Steps of a training in one process, each build's own benchmark of them: `... steps CASE RESULT --rounds N`.

The build's benchmark prepares both of its sides and hands them to a comparison of minima; here they are handed to a clock that keeps every step.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.builds.sides.places import module_of

CASES = {"training-step": "training_step", "adversarial": "adversarial_update"}


class Clock:
    """What stands in for `benchmarks.interleaved.compare`.

    Attributes:
        found: `wall`, `cpu`: seconds of a step, the median; `over plain`: the least wall seconds over those of the other side, where it was run.
    """

    def __init__(self, rounds: int, beside: bool):
        """`beside`: whether the other side of the comparison takes turns too."""
        self.rounds, self.beside = rounds, beside
        self.found: dict[str, float] = {}

    def __call__(self, ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 0) -> Any:
        """Warm up, then alternate; the number of rounds is this clock's own."""
        sides = [ours, theirs] if self.beside else [ours]
        taken: list[list[tuple[float, float]]] = [[] for _ in sides]
        for number in range(self.rounds + 1):
            for place, side in list(enumerate(sides))[:: 1 if number % 2 else -1]:
                wall, cpu = time.perf_counter(), time.process_time()
                side()
                taken[place].append((time.perf_counter() - wall, time.process_time() - cpu))
        walls = [[wall for wall, _ in steps[1:]] for steps in taken]
        self.found = {"wall": median(walls[0]), "cpu": median(cpu for _, cpu in taken[0][1:])}
        if self.beside:
            self.found["over plain"] = min(walls[0]) / min(walls[1])


def main(arguments: list[str] | None = None) -> None:
    """Run the steps and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("result", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--alone", action="store_true", help="leave the other side of the comparison out")
    given = parser.parse_args(arguments)
    module: Any = module_of(CASES[given.case])
    clock = Clock(given.rounds, beside=given.case == "training-step" and not given.alone)
    module.compare = clock
    getattr(module, CASES[given.case])()
    given.result.write_text(json.dumps(clock.found))


if __name__ == "__main__":
    main()
