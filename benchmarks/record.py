"""The performance record: one line a run of `make bench` in benchmarks/history.jsonl, and what counts as a slowdown.

A line names commit, machine and values. A run is judged by earlier lines of its own machine alone: by the median of the last ones, which one odd run
does not move. A rate of slowdown that noise reaches is no alarm, nor is one that nobody would notice; a count is right or wrong.
"""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from media import write_atomically
from media.user_error import UserError
from tracking.code_version import git_commit

HISTORY = Path(__file__).with_name("history.jsonl")


class BrokenHistoryError(UserError, ValueError):
    """A line of the history is no run; take the file of the last commit, `git checkout benchmarks/history.jsonl`."""


@dataclass(frozen=True)
class Policy:
    """What of a measure is a slowdown.

    Attributes:
        better: which way is good; `"equal"` for counts, any other value of which is an alarm.
        relative: share of the median by which a run must be worse.
        absolute: in the measure's own unit, by which it must be worse too.
        window: earlier runs that the median is of, the newest.
        least: with fewer earlier runs nothing is judged but counts.
    """

    better: Literal["lower", "higher", "equal"] = "lower"
    relative: float = 0.08
    absolute: float = 0.0
    window: int = 9
    least: int = 3


@dataclass(frozen=True)
class Run:
    """One run: `values` by measure."""

    commit: str
    when: str
    machine: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Slowdown:
    """A measure that is worse than its policy bears."""

    measure: str
    value: float
    usual: float

    def __str__(self) -> str:
        change = f", {self.value / self.usual - 1:+.0%}" if self.usual else ""
        return f"{self.measure}: {self.value:.4g}, usually {self.usual:.4g}{change}"


def this_run(values: Mapping[str, float]) -> Run:
    """Values measured just now, by this code on this machine."""
    return Run(git_commit(), datetime.now(UTC).isoformat(timespec="seconds"), machine(), dict(values))


def machine() -> str:
    """What runs must share to be compared: processor, its vectors and the cores that this process may use."""
    name, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").is_file():
        facts = dict(
            (part.strip() for part in line.split(":", 1))
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if ":" in line
        )
        name, flags = facts.get("model name", name), facts.get("flags", "")
    widest = next((vectors for vectors in ("avx512f", "avx2") if vectors in flags.split()), "no AVX2")
    return f"{name}, {widest}, {len(os.sched_getaffinity(0))} cores"


def judge(earlier: Sequence[Run], run: Run, policies: Mapping[str, Policy]) -> list[Slowdown]:
    """What of `run` is worse than usual.

    Args:
        earlier: in the order of the history; those of other machines are passed over.
        run: the one to judge.
        policies: by measure. One without a policy is recorded and not judged.
    """
    found = []
    for measure, policy in policies.items():
        values = [past.values[measure] for past in earlier if past.machine == run.machine and measure in past.values]
        needed = 1 if policy.better == "equal" else policy.least
        if measure not in run.values or len(values) < needed:
            continue
        usual = values[-1] if policy.better == "equal" else statistics.median(values[-policy.window :])
        if _is_worse(run.values[measure], usual, policy):
            found.append(Slowdown(measure, run.values[measure], usual))
    return found


def _is_worse(value: float, usual: float, policy: Policy) -> bool:
    if policy.better == "equal":
        return value != usual
    worse = value - usual if policy.better == "lower" else usual - value
    return worse > policy.relative * abs(usual) and worse > policy.absolute


def read_history(path: Path = HISTORY) -> list[Run]:
    """All runs, the oldest first; none where there is no file.

    Raises:
        BrokenHistoryError: a line is no run.
    """
    runs = []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], start=1):
        try:
            runs.append(Run(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise BrokenHistoryError(f"{path}, line {number}, is no run: {error}") from error
    return runs


def append(run: Run, path: Path = HISTORY) -> None:
    """Add a line; all of the file stands or the old one does."""
    before = path.read_text() if path.exists() else ""
    write_atomically(path, (before + json.dumps(asdict(run), sort_keys=True) + "\n").encode())
