"""`python -m benchmarks.builds --before CHECKOUT`: this build beside another, in turns on the same inputs, one table.

CHECKOUT is a clone with a `.venv` of its own: `git clone . CHECKOUT && cd CHECKOUT && git checkout COMMIT && make .venv/.installed`. Each turn is kept when it is
measured, so that a run that ends goes on; results of other commits, of other changes that are in no commit, or of another machine are not
mixed. Ends with 1 where a row cannot be run.
"""

import argparse
import sys
from pathlib import Path

from filelock import AcquireReturnProxy, BaseFileLock

from benchmarks.builds.build import Build, CannotRun, before_build, this_build
from benchmarks.builds.flames import draw
from benchmarks.builds.kept import Kept, Origin
from benchmarks.builds.lines import table
from benchmarks.builds.tasks import STEPS, TASKS, Demo, Task, Training, take_turns
from benchmarks.record import machine
from media.file_lock import take_lock
from media.user_error import UserError, exit_code

NAMES = [task.name for task in TASKS]


class Busy(UserError):
    """Another run works in this folder."""


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and print the table; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        before, now = before_build(given.before), this_build()
        origin = Origin({build.name: build.commit for build in (before, now)}, machine())
        with _alone(given.home_work):
            kept = Kept(given.home_work / "results.json", origin)
            failed = _measure(_tasks(given, before, now), kept, given.turns)
            if given.flames is not None:
                failed |= draw(before, now, given.home_work.resolve(), given.flames, _say)
    except Exception as error:
        return exit_code(error)
    print(f"before: {origin.commits['before']}, now: {origin.commits['now']}; {origin.machine}\n")
    print(
        "\n".join(
            [
                *table(kept, failed, given.rows, given.steps),
                *(f"{what}: {why}" for what, why in failed.items() if what not in NAMES),
            ]
        )
    )
    print("\nData-Juicer beside the same scores: `python -m benchmarks.peers --only data-juicer`.")
    return 1 if failed else 0


def _measure(tasks: list[Task], kept: Kept, turns: int | None) -> dict[str, str]:
    """Why a task could not be run, by name."""
    failed = {}
    for task in tasks:
        try:
            take_turns(task, kept, task.turns if turns is None else turns, _say)
        except CannotRun as error:
            failed[task.name] = str(error)
    return failed


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _alone(work: Path) -> AcquireReturnProxy[BaseFileLock]:
    """Two runs in one folder would use each other's homes, and write over each other's results."""
    busy = f"another run works in {work}: wait for it, or take another folder with --home-work"
    return take_lock(work / "lock", lambda: Busy(busy))


def _tasks(given: argparse.Namespace, before: Build, now: Build) -> list[Task]:
    work = given.home_work.resolve()
    own = {
        Training.name: lambda: Training(before, now, work, given.steps),
        Demo.name: lambda: Demo(before, now, work, given.demo),
    }
    return [
        own[kind.name]() if kind.name in own else kind(before, now, work) for kind in TASKS if kind.name in given.rows
    ]


def _at_least_one(text: str) -> int:
    """The number that an option gives.

    Raises:
        ArgumentTypeError: it is none, or less than 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.builds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT", help="the other build")
    parser.add_argument("--rows", nargs="*", choices=NAMES, default=NAMES, help="what to measure; all")
    parser.add_argument("--turns", type=_at_least_one, metavar="N", help="of each build, instead of 3, and of 1 demo")
    parser.add_argument(
        "--steps", type=_at_least_one, default=STEPS, metavar="N",
        help=f"of a training in the row `training`, {STEPS}; of another number nothing is aimed at but tokens per second",
    )  # fmt: skip
    parser.add_argument("--flames", type=Path, metavar="FOLDER", help="draw flame graphs into it too; needs py-spy")
    parser.add_argument(
        "--demo", choices=("home", "clone"), default="home",
        help="run it in the checkouts with a fresh home, or in fresh clones that are installed first",
    )  # fmt: skip
    parser.add_argument(
        "--home-work", type=Path, default=Path("build/builds"), metavar="FOLDER", help="for inputs, homes, logs and results"
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
