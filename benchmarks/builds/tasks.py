"""What is measured, and how: each task is run in its ways by turns."""

import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

from benchmarks.builds.build import Build, CannotRun
from benchmarks.builds.kept import Kept
from training.run.launch import launch_environment

BEFORE, NOW, WARM = "before", "now", "now, warm"
PER_SHARD = ("raw_clips", "clip_scores", "filtered_subsets", "condition_features")
STEPS = 16  # of a training, unless another number is asked for
STANDING, CLIPS = 2, 64  # of a home before it is measured, and of a new shard
INSTALLED = ".venv/.installed"  # a target of either build's Makefile


class Task(ABC):
    """Something that both builds do.

    Attributes:
        name: on the command line and in the results.
        ways: of doing it, in whose order the first turn is taken.
        turns: of each way, unless another number is asked for.
    """

    name: ClassVar[str]
    ways: ClassVar[tuple[str, ...]] = (BEFORE, NOW)
    turns: ClassVar[int] = 3

    def __init__(self, before: Build, now: Build, work: Path):
        """`work`: a folder for inputs, homes and logs, kept from run to run."""
        self.builds = {BEFORE: before, NOW: now, WARM: now}
        self.work, self.log = work / self.name, work / f"{self.name}.log"

    @property
    def key(self) -> str:
        """What its turns are kept as: turns that do not compare have other keys."""
        return self.name

    @abstractmethod
    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """Do it once, and give what it took by measure.

        Raises:
            CannotRun: it failed.
        """

    def prepare(self) -> None:  # noqa: B027 - most tasks need nothing
        """Make what all turns need, as far as it does not stand; nothing of it is measured."""

    def inputs(self, what: str, folder: Path, *arguments: object) -> Path:
        """Inputs made by the build before, once: a folder is there whole or not at all."""
        if not folder.exists():
            draft = folder.with_name(folder.name + ".draft")
            shutil.rmtree(draft, ignore_errors=True)
            self.builds[BEFORE].side("inputs", what, draft, *arguments, log=self.log)
            draft.rename(folder)
        return folder


def as_launched() -> dict[str, str]:
    """What a training's launcher sets before torch is imported: set later, Muon is compiled for minutes on a processor."""
    environment = launch_environment()
    return {name: environment[name] for name in ("DS_ACCELERATOR", "TORCH_COMPILE_DISABLE") if name in environment}


class Scores(Task):
    """CPU seconds of all CPU scores of six clips, and of decoding them."""

    name = "scores"

    def prepare(self) -> None:
        """The clips."""
        self.inputs("clips", self.work / "clips")

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """One process, one thread."""
        return self.builds[way].answer("scores", self.work / "clips", log=self.log, OMP_NUM_THREADS="1")


class TrainingStep(Task):
    """The whole step of stage 3 in one process, beside a plain torch loop: what `make bench` of either build measures."""

    name = "step"

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """Seven steps of either side."""
        return self.builds[way].answer("steps", "training-step", log=self.log, **as_launched())


class Adversarial(Task):
    """An update of discriminator and generator of the videos phase."""

    name = "adversarial"

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """Five updates."""
        return self.builds[way].answer("steps", "adversarial", "--rounds", 5, log=self.log, **as_launched())


class Training(Task):
    """Steps of stage 3 from the start of its processes to their end."""

    name = "training"
    ways = (BEFORE, NOW, WARM)

    def __init__(self, before: Build, now: Build, work: Path, steps: int = STEPS):
        """`steps`: of a turn."""
        super().__init__(before, now, work)
        self.steps = steps

    @property
    def key(self) -> str:
        """With the number of steps."""
        return kept_key(self.name, self.steps)

    def prepare(self) -> None:
        """A snapshot of random features; MLflow's store and compiled modules of either build, by a step that is not measured."""
        self.inputs("snapshot", self.work / "inputs")
        for way in (BEFORE, NOW):
            prepared = self.work / f"{way}.prepared"  # the last of it: MLflow's store stands long before its step ends
            if not prepared.exists():
                shutil.rmtree(self.work / way, ignore_errors=True)
                self._train(way, 1)
                prepared.touch()

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """By DeepSpeed's launcher, or warm as inside a demo."""
        return self._train(way, self.steps, *(["--warm"] if way == WARM else []))

    def _train(self, way: str, steps: int, *options: str) -> dict[str, Any]:
        folder, inputs = self.work / self.builds[way].name, self.work / "inputs"
        asked = ("--snapshot", inputs, "--steps", steps, *options)
        return self.builds[way].answer("training", folder, *asked, log=self.log)


class Shard(Task):
    """64 new clips in a home that stands, until their features do; every turn begins with the same home."""

    name = "shard"

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """The four commands one after another."""
        clips = self.inputs("puppets", self.work / f"clips-{turn}", "--first", 1000 + turn * CLIPS, "--count", CLIPS)
        return self.curate(way, self.fresh_home(way), clips)

    def fresh_home(self, way: str) -> Path:
        """The home of a build with one small shard and nothing of earlier turns, whole or broken off; what is made of it is not measured.

        It is made once, and copied from what was kept of it each time to the path where it was made: a home may name its own path.
        """
        home, standing = self.work / way, self.work / f"{way}-standing"
        if not standing.exists():
            shutil.rmtree(home, ignore_errors=True)
            first = self.inputs("puppets", self.work / "first-clips", "--count", STANDING)
            self.builds[way].side("inputs", "home", home, log=self.log)
            self.curate(way, home, first)
            _copy(home, standing.with_name(f"{way}-standing.draft"))
            standing.with_name(f"{way}-standing.draft").rename(standing)
        _copy(standing, home)
        return home

    def curate(
        self, way: str, home: Path, clips: Path, under: Callable[[str], list[str]] = lambda asset: []
    ) -> dict[str, Any]:
        """Put clips into a home's inbox and make the four assets; `under` gives what the command of an asset is run under."""
        (home / "inbox").mkdir(exist_ok=True)
        for path in clips.iterdir():
            shutil.copy2(path, home / "inbox" / path.name)
        build = self.builds[way]
        steps = {
            asset: build.measure(
                [*under(asset), str(build.python), "-W", "ignore", "-m", "assets", asset],
                self.log,
                OMNIHUMAN_HOME=str(home),
            )
            for asset in PER_SHARD
        }
        found = {
            "wall": sum(step.wall for step in steps.values()),
            "cpu": sum(step.cpu for step in steps.values()),
            "gib": max(step.gib for step in steps.values()),
        }
        return found | {"steps": {asset: asdict(step) for asset, step in steps.items()}}


class Demo(Task):
    """`make demo` after the installation, in a fresh home, or in a fresh clone with an installation of its own."""

    name = "demo"
    turns = 1

    def __init__(self, before: Build, now: Build, work: Path, where: Literal["home", "clone"] = "home"):
        """`where`: the checkouts themselves with a home in `work`, or clones of their commits."""
        super().__init__(before, now, work)
        self.where = where

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        """Begin anew where a turn was broken off: half a demo's time is nobody's."""
        build, folder = self.builds[way], self.work / way
        shutil.rmtree(folder, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        if self.where == "clone":
            _clone(build, folder)
        checkout = folder if self.where == "clone" else build.root
        # The Makefile's Python is the checkout's own: nothing here may name another.
        variables = {"PYTHONPATH": "", "HF_HUB_OFFLINE": ""} | (
            {"OMNIHUMAN_HOME": str(folder)} if self.where == "home" else {}
        )
        build.measure(["make", INSTALLED], self.log, checkout, **variables)
        return asdict(build.measure(["make", "demo"], self.log, checkout, **variables))


def _copy(folder: Path, into: Path) -> None:
    """Copy a folder over another, of which nothing is left."""
    if into.exists():
        shutil.rmtree(into)
    shutil.copytree(folder, into, symlinks=True)


def _clone(build: Build, folder: Path) -> None:
    if build.changes:
        raise CannotRun(f"{build.root} has changes that are in no commit, and a clone would not have them")
    for command in (["clone", "--quiet", str(build.root), str(folder)], ["-C", str(folder), "checkout", "--quiet", build.commit]):  # fmt: skip
        done = subprocess.run(["git", *command], capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"git {command[0]}: {done.stderr.strip()}")


# The short ones first; what they import is compiled when the long ones run.
TASKS: tuple[type[Task], ...] = (Scores, TrainingStep, Adversarial, Training, Shard, Demo)


def kept_key(task: str, steps: int = STEPS) -> str:
    """What a task's turns are kept as, by its name and the steps of a training."""
    return f"{task}, {steps} steps" if task == Training.name else task


def take_turns(task: Task, kept: Kept, turns: int, say: Callable[[str], None]) -> None:
    """Run a task in its ways by turns, each way first as often as the others, until each has so many; what is kept already is not run.

    Raises:
        CannotRun: one failed.
    """
    if all(len(kept.turns(task.key, way)) >= turns for way in task.ways):
        return
    task.prepare()
    for turn in range(turns):
        first = turn % len(task.ways)
        for way in (*task.ways[first:], *task.ways[:first]):
            if len(kept.turns(task.key, way)) <= turn:
                kept.add(task.key, way, task.measure(way, turn))
                say(f"{task.name}, {way}, turn {turn + 1} of {turns}: {_numbers(kept.turns(task.key, way)[-1])}")


def _numbers(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, int | float))
