"""The gate's criteria as the profile names them, with what the registry knows of their metrics."""

from collections.abc import Collection
from dataclasses import dataclass

from evaluation.benchmark.benchmark_plan import MODES, PIXELS
from evaluation.metrics.facts import MetricFacts
from evaluation.metrics.registry import METRICS, READINGS
from media.user_error import UserError
from profiles.judging import Criterion, GateConfig


class GateError(UserError, ValueError):
    """A profile whose gate asks for what no metric is or can be; the message names the key and what there is."""

    exit_code = 2


@dataclass(frozen=True)
class Demand:
    """One criterion: `metric` of the rows of `benchmark` and `mode` against `threshold`. `name` is the criterion's in the profile."""

    name: str
    kind: type[MetricFacts]
    benchmark: str
    mode: str
    threshold: float
    relative: bool
    slices: bool

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.kind.name

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.kind.higher_is_better else -1.0

    @property
    def place(self) -> str:
        """Where the number stands, for people."""
        return f"{self.metric} ({self.benchmark}, {self.mode})"

    def within(self, value: float, bound: float) -> bool:
        """Whether `value` is no worse than `bound`."""
        return bool(self.sign * (value - bound) >= 0)

    @property
    def side(self) -> str:
        """What a bound is."""
        return "at least" if self.sign > 0 else "at most"


def demands(gate: GateConfig, benchmarks: Collection[str] | None = None) -> list[Demand]:
    """Resolve the criteria of a profile's gate, in their order.

    Args:
        gate: of the profile.
        benchmarks: only criteria about these; None is all.

    Raises:
        GateError: an unknown metric or mode, or a threshold on the wrong side.
    """
    every = [_demand(name, criterion) for name, criterion in gate.criteria.items()]
    return [demand for demand in every if benchmarks is None or demand.benchmark in benchmarks]


def limits(gate: GateConfig, benchmark: str) -> dict[str, float]:
    """The threshold of each metric that the gate reads on one benchmark in the mode in which tables show it.

    Raises:
        GateError: as `demands`.
    """
    shown = {kind: reading.mode for kind, reading in READINGS.items()}
    return {d.metric: d.threshold for d in demands(gate, [benchmark]) if shown.get(d.kind) == d.mode}


def _demand(name: str, criterion: Criterion) -> Demand:
    kind = METRICS.get(criterion.metric)
    key = f"gate.criteria.{name}"
    if kind is None or kind.higher_is_better is None:
        may = sorted(metric.name for metric in METRICS.values() if metric.higher_is_better is not None)
        raise GateError(f"{key} names no metric that may gate: {criterion.metric}; choose one of {', '.join(may)}")
    if (criterion.min is None) == kind.higher_is_better:
        right, wrong = ("min", "max") if kind.higher_is_better else ("max", "min")
        raise GateError(
            f"{key} has {wrong}, and {'more' if kind.higher_is_better else 'less'} of {kind.name} is better; give {right}"
        )
    mode = criterion.mode or (kind.reading.mode if kind.reading is not None else "")
    if mode not in (*MODES, PIXELS):
        raise GateError(
            f"{key}.mode is {mode or '(none)'}, which no model generates in; give {kind.name} one of {', '.join(MODES)}"
        )
    return Demand(name, kind, criterion.benchmark, mode, criterion.threshold, criterion.relative, criterion.slices)
