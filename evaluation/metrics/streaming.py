"""Metrics that are fed clip by clip, in any order and in several processes, and merged.

Each keeps one small record per clip, never frames. So any of them can be resampled over clips (`evaluation.metrics.estimate`),
a clip that two shards both scored is noticed, and the result does not depend on who scored what.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from evaluation.metrics.bootstrap import MetricScore, estimate
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import MetricFacts
from evaluation.metrics.observation.needs import MATERIAL, Need
from networks.weights import Network

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


@dataclass(frozen=True)
class Score(MetricScore):
    """One number with everything needed to read it.

    Attributes:
        network: None for metrics without one.
        warning: why to read it with care; empty when there is nothing to say.
    """

    network: Network | None = None
    warning: str = ""


class StreamingMetric(MetricFacts, ABC):
    """`observe` each clip, `merge` shards, `compute`. `update` is the same on arrays: each subclass says which.

    Clips are taken in the order of their names, so that neither the order of updates nor of merges changes a number.
    Instances pickle: a shard scored in another process is sent back and merged.
    """

    centred: ClassVar[bool] = False
    most_resamples: ClassVar[int | None] = None
    architecture: ClassVar[str | None] = None

    def __init__(self, network: Network | None = None):
        if self.architecture is not None and (network is None or network.architecture != self.architecture):
            given = "no network" if network is None else network.architecture
            raise MetricError(
                f"{self.name} is defined on {self.architecture}, not on {given}; name another metric for it"
            )
        self.network = network
        self._records: dict[str, Any] = {}

    @abstractmethod
    def observe(self, seen: "Observed") -> None:
        """Take a clip's record out of what is seen of it; nothing else of the clip is kept.

        Raises:
            MetricError: a clip that cannot be scored; the message names it.
        """

    def leave_out(self, clip: str, need: Need) -> None:
        """Say that a clip has not what the metric needs, although its set has.

        Raises:
            MetricError: the metric is one of the whole set, in which no clip may be missing.
        """
        raise MetricError(
            f"{self.name}: clip {clip} cannot be scored, {MATERIAL[need].reason}; {MATERIAL[need].remedy}"
        )

    def _add(self, clip: str, record: Any) -> None:
        if clip in self._records:
            raise MetricError(f"{self.name}: clip {clip} was scored twice; give each clip to one shard")
        self._records[clip] = record

    def merge(self, other: Self) -> None:
        """Take over the clips of another shard.

        Raises:
            MetricError: another metric, other settings or weights, or a clip that both have.
        """
        if type(other) is not type(self) or other.settings() != self.settings():
            raise MetricError(
                f"{self.name} {self.settings()} cannot take over {other.name} {other.settings()}; score both shards with "
                "the same metric, settings and weights"
            )
        self.take(other.records)

    @property
    def records(self) -> Mapping[str, Any]:
        """What is kept of each clip, by its name."""
        return self._records

    def take(self, records: Mapping[str, Any]) -> None:
        """Take over records of the same metric with the same settings.

        Raises:
            MetricError: a clip that is there already.
        """
        for clip, record in records.items():
            self._add(clip, record)

    def settings(self) -> dict[str, Any]:
        """What two shards must agree on."""
        return {"network": self.network}

    @property
    def clips(self) -> list[str]:
        """Names of the scored clips, sorted."""
        return sorted(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __call__(self, clips: np.ndarray) -> float:
        """The metric over clips by number in `self.clips`; numbers may repeat. NaN where it is not defined."""
        names = self.clips
        return self.over([self._records[names[i]] for i in clips])

    @abstractmethod
    def over(self, records: Sequence[Any]) -> float:
        """The metric of these records."""

    def defined(self, record: Any) -> bool:
        """Whether a clip says anything."""
        return True

    def warning(self) -> str:
        """Why the number should be read with care."""
        return ""

    def compute(self, resamples: int = 0, seed: int = 0) -> Score:
        """Value, interval (NaN when `resamples` is 0; of at most `most_resamples` where each is costly) and coverage.

        Raises:
            MetricError: no clip was scored.
        """
        if not self._records:
            raise MetricError(f"{self.name}: no clip was scored; call update first")
        resamples = resamples if self.most_resamples is None else min(resamples, self.most_resamples)
        number = estimate(self, resamples, seed, centred=self.centred)
        coverage = sum(map(self.defined, self._records.values())) / len(self._records)
        low, high = (number.ci_low, number.ci_high) if resamples else (float("nan"), float("nan"))
        return Score(
            self.name, self.unit, number.value, low, high, len(self), coverage, self.network, self.warning()
        )  # fmt: skip


class ClipMean(StreamingMetric):
    """Mean over clips of one number per clip. A clip without a number (NaN) is left out and lowers the coverage."""

    def leave_out(self, clip: str, need: Need) -> None:
        """Count the clip, and lower the coverage: a clip must not vanish in silence."""
        self._add(clip, float("nan"))

    def over(self, records: Sequence[float]) -> float:
        """NaN when no clip has a number."""
        values = np.asarray(records, np.float64)
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else float("nan")

    def defined(self, record: float) -> bool:
        """Whether the clip has a number."""
        return bool(np.isfinite(record))

    def warning(self) -> str:
        """How many clips have no number."""
        absent = sum(not self.defined(record) for record in self._records.values())
        return f"not defined on {absent} of {len(self)} clips" if absent else ""

    def per_clip(self) -> dict[str, float]:
        """The number of each clip."""
        return {clip: float(self._records[clip]) for clip in self.clips}


class Streamed(StreamingMetric):
    """The form that is fed clip by clip of a metric over arrays: `of` is that metric, which has the facts."""

    of: ClassVar[type[MetricFacts]]

    def __init__(self) -> None:
        super().__init__()
        self.name, self.unit = self.of.name, self.of.unit


def checked_finite(values: np.ndarray, metric: str, clip: str) -> np.ndarray:
    """The values themselves.

    Raises:
        MetricError: NaN or infinity among them.
    """
    if not np.isfinite(values).all():
        raise MetricError(f"{metric}: clip {clip} has {int((~np.isfinite(values)).sum())} values that are not finite")
    return values
