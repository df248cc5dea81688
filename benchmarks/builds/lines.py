"""The table: what was aimed at, both numbers, their ratio, and whether it is reached."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.builds.kept import Kept
from benchmarks.builds.tasks import BEFORE, NOW, STEPS, WARM, Training, kept_key

HEAD = "| what | aim | before | now | now / before | |\n| --- | --- | ---: | ---: | ---: | --- |"


@dataclass(frozen=True)
class Aim:
    """A bound of the ratio now / before, or of today's number itself.

    Attributes:
        of: what is bounded.
        bound: the number.
        sense: which side of it is good.
        wish: said beside it, and not judged.
    """

    of: Literal["ratio", "now"]
    bound: float
    sense: Literal["at most", "at least"] = "at most"
    wish: str = ""

    def __str__(self) -> str:
        unit = " of before" if self.of == "ratio" else ""
        return f"{self.sense} {self.bound:g}{unit}{self.wish}"

    def is_reached(self, ratio: float, now: float) -> bool:
        """Whether numbers keep it."""
        value = ratio if self.of == "ratio" else now
        return value <= self.bound if self.sense == "at most" else value >= self.bound


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        task: whose turns it reads.
        what: for people; `{steps}` stands for a training's.
        measure: key of what a turn found.
        aim: None where a number only stands beside others.
        now: the way that stands for today.
    """

    task: str
    what: str
    measure: str
    aim: Aim | None = None
    now: str = NOW

    def aim_of(self, steps: int) -> Aim | None:
        """The aim where it holds: seconds of a training and losses were aimed at for `STEPS` steps alone."""
        seconds = self.task == Training.name and self.aim is not None and self.aim.of == "now"
        return None if seconds and steps != STEPS else self.aim


LINES = (
    Line("demo", "`make demo` after installation, wall s", "wall", Aim("ratio", 0.55, wish="; 0.45 is the wish")),
    Line("demo", "`make demo`, CPU s", "cpu", Aim("ratio", 0.7)),
    Line("demo", "largest process of the demo, GiB", "gib", Aim("ratio", 1.0)),
    Line("training", "step of stage 3, tokens per s on two cores", "tokens per second", Aim("ratio", 1.5, "at least"), WARM),
    Line("step", "the same in one process, CPU s a step", "cpu"),
    Line("training", "{steps}-step training, warm as in a demo, wall s", "wall", Aim("now", 18.0), WARM),
    Line("training", "{steps}-step training, cold, wall s", "wall", Aim("now", 18.0)),
    Line("training", "{steps}-step training, warm, CPU s", "cpu", None, WARM),
    Line("training", "{steps}-step training, cold, CPU s", "cpu"),
    Line("adversarial", "adversarial video update, wall s", "wall", Aim("ratio", 0.7)),
    Line("adversarial", "adversarial video update, CPU s", "cpu"),
    Line("shard", "new shard of 64 clips until its features stand, wall s", "wall", Aim("ratio", 0.5)),
    Line("shard", "new shard of 64 clips, CPU s", "cpu"),
    Line("shard", "largest process of it, GiB", "gib"),
    Line("scores", "all CPU scores / pure decoding", "over decode", Aim("now", 1.5, wish="; then 1.2")),
    Line("scores", "all CPU scores, CPU s", "cpu"),
    Line("scores", "pure decoding, CPU s", "decode"),
    Line("step", "whole training step / plain torch loop", "over plain", Aim("now", 1.02)),
)  # fmt: skip
LOSSES = Line("training", "losses of {steps} steps, greatest relative difference", "losses", Aim("now", 1e-5))


def table(kept: Kept, failed: dict[str, str], tasks: list[str], steps: int = STEPS) -> list[str]:
    """The table's lines, of the tasks that were asked for.

    Args:
        kept: the turns.
        failed: why a task could not be run, by its name.
        tasks: names of those asked for.
        steps: of the trainings.
    """
    lines = [HEAD]
    for line in LINES:
        if line.task in tasks:
            lines.append(_row(line, steps, failed, lambda line=line: _cells(line, kept, steps)))
    if "training" in tasks:
        lines.append(_row(LOSSES, steps, failed, lambda: _losses(kept, steps)))
    return lines


def _row(line: Line, steps: int, failed: dict[str, str], cells: Callable[[], tuple[str, ...]]) -> str:
    why = failed.get(line.task)
    found = ("", "", "", f"cannot be run: {why.replace('|', '/')}") if why else cells()
    return f"| {line.what.format(steps=steps)} | {line.aim_of(steps) or ''} | {' | '.join(found)} |"


def _cells(line: Line, kept: Kept, steps: int) -> tuple[str, ...]:
    key = kept_key(line.task, steps)
    before = [turn[line.measure] for turn in kept.turns(key, BEFORE)]
    now = [turn[line.measure] for turn in kept.turns(key, line.now)]
    ratios = [later / earlier for earlier, later in zip(before, now, strict=False)]
    verdict = _verdict(line.aim_of(steps), median(ratios), median(now))
    return spread(before), spread(now), f"**{spread(ratios)}**", verdict


def _losses(kept: Kept, steps: int) -> tuple[str, ...]:
    before, now, warm = (
        kept.turns(kept_key(LOSSES.task, steps), way)[0][LOSSES.measure] for way in (BEFORE, NOW, WARM)
    )
    difference, parted = greatest_difference(before, now), greatest_difference(now, warm)
    between = f"{difference:.1e}" if difference else "equal"
    same = "warm and cold equal" if parted == 0 else f"warm and cold part by {parted:.1e}"
    verdict = _verdict(LOSSES.aim_of(steps), 0.0, difference)
    return (
        f"last {before[-1]:.6g}",
        f"last {now[-1]:.6g}",
        f"**{between}**",
        f"{verdict}; {same}" if verdict else same,
    )


def greatest_difference(first: list[float], second: list[float]) -> float:
    """Of two curves of losses, step by step, relative to the first; curves of other lengths differ without end."""
    if len(first) != len(second):
        return float("inf")
    return max((abs(b - a) / abs(a) for a, b in zip(first, second, strict=True)), default=0.0)


def _verdict(aim: Aim | None, ratio: float, now: float) -> str:
    return "" if aim is None else "reached" if aim.is_reached(ratio, now) else "missed"


def spread(values: list[float]) -> str:
    """The median, and the least and greatest where there are several."""
    whole = _short(median(values))
    return whole if len(values) < 2 else f"{whole} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
