"""The metrics that can be had with some instruments on some samples, fed together clip by clip."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import JUDGES, MATERIAL, Absence, Need, is_there, judges_of
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS, streaming_metric
from evaluation.metrics.streaming import StreamingMetric
from evaluation.trial.record import standing

__all__ = ["Instruments", "Panel", "Unmeasured", "measurable"]


@dataclass(frozen=True)
class Unmeasured:
    """A metric that cannot be had: its name, why, and what to do about it."""

    metric: str
    reason: str
    remedy: str


def measurable(instruments: Instruments, has: Collection[Need]) -> tuple[list[StreamingMetric], list[Unmeasured]]:
    """Sort the registry into empty metrics of what can be measured, and what cannot be and why.

    Args:
        instruments: what looks.
        has: what the samples bring, of `needs.MATERIAL`; a single clip may lack it all the same.
    """
    measured: list[StreamingMetric] = []
    unmeasured: list[Unmeasured] = []
    for name, kind in METRICS.items():
        absence = _absence(kind.needs, instruments, has)
        if absence is not None:
            unmeasured.append(Unmeasured(name, absence.reason, absence.remedy))
            continue
        judge = next((instruments.judge(need) for need in judges_of(kind.needs)), None)
        measured.append(streaming_metric(name, None if judge is None else judge.network))
    return measured, unmeasured


def _absence(needs: Collection[Need], instruments: Instruments, has: Collection[Need]) -> Absence | None:
    for need in needs:
        if need in MATERIAL and not is_there(need, has):
            return MATERIAL[need]
        if need in JUDGES and instruments.judge(need) is None:
            return JUDGES[need]
    return None


class Panel:
    """The metrics of one method. What none of them needs is not computed, and nothing outlives a clip but its records.

    Attributes:
        metrics: by name.
        unmeasured: the rest of the registry.
        doubts: of each metric that did not follow the truth when it was tried on rendered people, what to know before reading it.
    """

    def __init__(self, instruments: Instruments, has: Collection[Need], only: Collection[str] | None = None):
        """Begin with empty metrics.

        Args:
            instruments: what looks.
            has: what the samples bring.
            only: names of the metrics to keep; None keeps all that can be had.
        """
        measured, self.unmeasured = measurable(instruments, has)
        self.metrics = {metric.name: metric for metric in measured if only is None or metric.name in only}

    @property
    def doubts(self) -> dict[str, str]:
        """By metric; one that follows the truth, or was never tried, has none."""
        told = {name: standing(name).doubt for name in self.metrics}
        return {name: doubt for name, doubt in told.items() if doubt}

    def update(self, seen: Observed) -> None:
        """Score one clip with every metric.

        Raises:
            MetricError: a clip that cannot be scored; the message names it.
        """
        for name, metric in self.metrics.items():
            absent = seen.absent(METRICS[name].needs)
            if absent is None:
                metric.observe(seen)
            else:
                metric.leave_out(seen.name, absent)

    def merge(self, other: "Panel") -> None:
        """Take over another shard's clips."""
        for name, metric in self.metrics.items():
            metric.merge(other.metrics[name])

    def records(self) -> dict[str, dict[str, Any]]:
        """By metric and clip: all that an empty panel of the same metrics needs, to be this one."""
        return {name: dict(metric.records) for name, metric in self.metrics.items()}

    def take(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over the `records` of a panel of the same metrics and networks, that scored other clips.

        Raises:
            MetricError: a clip that both have scored.
        """
        for name, metric in self.metrics.items():
            metric.take(records[name])
