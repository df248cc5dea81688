"""`python -m benchmarks.builds --before CHECKOUT`: this build beside another, in turns on the same inputs, one table.

CHECKOUT is a clone with a `.venv` of its own: `git clone . CHECKOUT && cd CHECKOUT && git checkout COMMIT && make .venv/.installed`. Each turn is kept when it is
measured, so that a run that ends goes on; results of other commits or another machine are not mixed. Ends with 1 where a row cannot be run.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.builds.build import Build, CannotRun, before_build, this_build
from benchmarks.builds.kept import Kept, Origin
from benchmarks.builds.lines import table
from benchmarks.builds.tasks import TASKS, Demo, Task, take_turns
from benchmarks.record import machine
from media.user_error import exit_code

NAMES = [task.name for task in TASKS]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and print the table; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        before, now = before_build(given.before), this_build()
        origin = Origin({build.name: build.commit for build in (before, now)}, machine())
        kept = Kept(given.home_work / "results.json", origin)
    except Exception as error:
        return exit_code(error)
    failed = {}
    for task in _tasks(given, before, now):
        try:
            take_turns(task, kept, given.turns or task.turns, lambda line: print(line, file=sys.stderr, flush=True))
        except CannotRun as error:
            failed[task.name] = str(error)
    print(f"before: {origin.commits['before']}, now: {origin.commits['now']}; {origin.machine}\n")
    print("\n".join(table(kept, failed, given.rows)))
    print("\nData-Juicer beside the same scores: `python -m benchmarks.peers --only data-juicer`.")
    return 1 if failed else 0


def _tasks(given: argparse.Namespace, before: Build, now: Build) -> list[Task]:
    work = given.home_work.resolve()
    return [
        Demo(before, now, work, given.demo) if kind is Demo else kind(before, now, work)
        for kind in TASKS
        if kind.name in given.rows
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.builds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT", help="the other build")
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=NAMES, help="what to measure; all")
    parser.add_argument("--turns", type=int, help="of each build, instead of 3, and of 1 demo")
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
