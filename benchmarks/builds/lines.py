"""The table: what was aimed at, both numbers, their ratio, and whether it is reached."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.builds.kept import Kept
from benchmarks.builds.tasks import BEFORE, NOW, WARM

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
        what: for people.
        measure: key of what a turn found.
        aim: None where a number only stands beside others.
        now: the way that stands for today.
    """

    task: str
    what: str
    measure: str
    aim: Aim | None = None
    now: str = NOW


LINES = (
    Line("demo", "`make demo` after installation, wall s", "wall", Aim("ratio", 0.55, wish="; 0.45 is the wish")),
    Line("demo", "`make demo`, CPU s", "cpu", Aim("ratio", 0.7)),
    Line("demo", "largest process of the demo, GiB", "gib", Aim("ratio", 1.0)),
    Line("training", "step of stage 3, tokens per s on two cores", "tokens per second", Aim("ratio", 1.5, "at least"), WARM),
    Line("step", "the same in one process, CPU s a step", "cpu"),
    Line("training", "16-step training, warm as in a demo, wall s", "wall", Aim("now", 18.0), WARM),
    Line("training", "16-step training, cold, wall s", "wall", Aim("now", 18.0)),
    Line("training", "16-step training, warm, CPU s", "cpu", None, WARM),
    Line("training", "16-step training, cold, CPU s", "cpu"),
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
LOSSES = Aim("now", 1e-5)


def table(kept: Kept, failed: dict[str, str], tasks: list[str]) -> list[str]:
    """The table's lines, of the tasks that were asked for; `failed` says why a task could not be run."""
    lines = [HEAD]
    for line in LINES:
        if line.task in tasks:
            lines.append(_row(line.what, line.aim, failed.get(line.task), lambda line=line: _cells(line, kept)))
    if "training" in tasks:
        what = "losses of 16 steps, greatest relative difference"
        lines.append(_row(what, LOSSES, failed.get("training"), lambda: _losses(kept)))
    return lines


def _row(what: str, aim: Aim | None, failed: str | None, cells: Callable[[], tuple[str, ...]]) -> str:
    found = ("", "", "", f"cannot be run: {failed.replace('|', '/')}") if failed else cells()
    return f"| {what} | {aim or ''} | {' | '.join(found)} |"


def _cells(line: Line, kept: Kept) -> tuple[str, ...]:
    before = [turn[line.measure] for turn in kept.turns(line.task, BEFORE)]
    now = [turn[line.measure] for turn in kept.turns(line.task, line.now)]
    ratios = [later / earlier for earlier, later in zip(before, now, strict=False)]
    verdict = _verdict(line.aim, median(ratios), median(now))
    return spread(before), spread(now), f"**{spread(ratios)}**", verdict


def _losses(kept: Kept) -> tuple[str, ...]:
    before, now = (kept.turns("training", way)[0]["losses"] for way in (BEFORE, NOW))
    difference = greatest_difference(before, now)
    warm = greatest_difference(now, kept.turns("training", WARM)[0]["losses"])
    between = f"{difference:.1e}" if difference else "equal"
    same = "warm and cold equal" if warm == 0 else f"warm and cold part by {warm:.1e}"
    return (
        f"last {before[-1]:.6g}",
        f"last {now[-1]:.6g}",
        f"**{between}**",
        f"{_verdict(LOSSES, 0.0, difference)}; {same}",
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
