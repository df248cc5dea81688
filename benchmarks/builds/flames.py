"""Flame graphs of both builds, by py-spy: a training step, a scoring run, an encode of the same 64 clips."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.builds.build import Build, CannotRun
from benchmarks.builds.tasks import BEFORE, CLIPS, NOW, Shard, TrainingStep, as_launched

PROFILED = {"clip_scores": "scoring", "condition_features": "encode"}
FIRST = 5000  # number of the first puppet: none that a turn has seen, so that no cache has it
STEPS = 12


def draw(before: Build, now: Build, work: Path, folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Write `training-step-before.svg`, `scoring-now.svg` and so on into `folder`; returns why one could not be drawn, by name.

    Args:
        before, now: the builds.
        work: as of the table; the shards are put into its homes, which every turn begins anew.
        folder: for the graphs.
        say: is told of each that stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for way in (BEFORE, NOW):
        for name, run in (("training-step", _training_step), ("scoring and encode", _shard)):
            try:
                for path in run(before, now, work, folder.resolve(), way):
                    say(f"{path} ({path.stat().st_size / 1024:.0f} KB)")
            except CannotRun as error:
                failed[f"flames of {name}, {way}"] = str(error)
    return failed


def installed_spy() -> str | None:
    """Py-spy's path: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def recorded(path: Path) -> list[str]:
    """What a command is run under to be drawn into `path`, with all processes that it starts.

    Raises:
        CannotRun: py-spy is not installed.
    """
    spy = installed_spy()
    if spy is None:
        raise CannotRun("py-spy is not installed: pip install py-spy")
    options = ["--format", "flamegraph", "--rate", "40", "--nonblocking", "--subprocesses", "--output", str(path)]
    return [spy, "record", *options, "--"]


def _training_step(before: Build, now: Build, work: Path, folder: Path, way: str) -> list[Path]:
    task, path = TrainingStep(before, now, work), folder / f"training-step-{way}.svg"
    build, result = task.builds[way], work.resolve() / "flames-step.json"
    side = build.side_command("steps", "training-step", result, "--alone", "--rounds", STEPS)
    build.measure([*recorded(path), *side], task.log, **as_launched())
    return [path]


def _shard(before: Build, now: Build, work: Path, folder: Path, way: str) -> list[Path]:
    task = Shard(before, now, work)
    clips = task.inputs("puppets", task.work / "clips-flames", "--first", FIRST, "--count", CLIPS)
    home = task.fresh_home(way)
    paths = {asset: folder / f"{name}-{way}.svg" for asset, name in PROFILED.items()}
    task.curate(way, home, clips, lambda asset: recorded(paths[asset]) if asset in paths else [])
    return list(paths.values())
