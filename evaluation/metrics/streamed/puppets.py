"""Metrics of puppets for videos that come one by one: the same formulas as the benchmark's, fed clip by clip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.metrics.puppet_truth import Measured, PuppetMetric, PuppetTruth
from evaluation.metrics.streaming import StreamingMetric
from puppets.measure import Measurement

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


class StreamedPuppetMetric(StreamingMetric):
    """A `PuppetMetric` over the clips so far; its name and unit are that metric's."""

    needs = ("puppet_truth",)

    def __init__(self, kind: type[PuppetMetric]):
        super().__init__()
        self.kind = kind
        self.name, self.unit = kind.name, kind.unit

    def settings(self) -> dict[str, Any]:
        """With the metric's name."""
        return super().settings() | {"metric": self.name}

    def observe(self, seen: "Observed") -> None:
        """What is read from the generated video, and what was drawn."""
        self.update(seen.name, seen.measured, seen.puppet_truth)

    def update(self, clip: str, measured: Measurement, truth: PuppetTruth) -> None:
        """With `puppets.measure` of the clip, and what is true of it."""
        self._add(clip, (measured, truth))

    def over(self, records: Sequence[tuple[Measurement, PuppetTruth]]) -> float:
        """Over all frames of these clips."""
        measured, truths = zip(*records, strict=True)
        metric = self.kind.of_puppets(Measured.stacked(measured), PuppetTruth.stacked(truths))
        return metric(np.arange(len(records)))
