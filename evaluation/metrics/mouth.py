"""Does the sound drive the mouth: correlation of the opening read from pixels with the opening that the sound asks for."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, SHUFFLED_AUDIO, TEACHER
from evaluation.metrics.facts import Floor, MetricFacts, Reading
from evaluation.metrics.puppet_truth import Measured, PuppetMetric, PuppetTruth


@dataclass(frozen=True)
class _OpeningCorrelation(MetricFacts):
    """Pearson correlation over all frames of all clips pooled.

    r = sum (m - mean m)(a - mean a) / sqrt(sum (m - mean m)^2 sum (a - mean a)^2)

    This is not Sync-C: it uses no SyncNet, only the puppets' measured geometry.

    Attributes:
        measured: `(N, T)` opening m read from pixels (`puppets.measure`).
        asked: `(N, T)` opening a that is asked for.
    """

    measured: np.ndarray
    asked: np.ndarray
    unit = "r"
    higher_is_better = True

    def __len__(self) -> int:
        return len(self.measured)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when either side is constant."""
        measured, asked = self.measured[clips].ravel(), self.asked[clips].ravel()
        measured, asked = measured - measured.mean(), asked - asked.mean()
        scale = np.sqrt((measured**2).sum() * (asked**2).sum())
        # Below this the "variation" is rounding, and the quotient would be noise.
        return float((measured * asked).sum() / scale) if scale > 1e-9 else float("nan")


class MouthCorrelation(_OpeningCorrelation, PuppetMetric):
    """The correlation with the opening as drawn, which is that of the clip's own sound."""

    name = "mouth_correlation"
    title = "mouth r"
    place = 1
    floor = Floor(TEACHER, SHUFFLED_AUDIO)
    reading = Reading(AUDIO, 1)
    damage = ("time shift", "another sample")

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Against the opening as drawn."""
        return cls(measured.opening, truth.opening)


class MouthCorrelationWithGivenAudio(_OpeningCorrelation):
    """The correlation with the opening of the sound that was given, another clip's: the mouth follows what it hears, not the clip."""

    name = "mouth_correlation_with_given_audio"
    title = "mouth r with the given sound"
    needs = ("given_opening",)
