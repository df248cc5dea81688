"""IQA and ASE: Q-Align's levels of quality and aesthetics, 1 (bad) to 5 (excellent). Saturated, and blind to motion."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


class _Level(ClipMean):
    unit = "1 to 5"
    higher_is_better = True
    damage = ("more blur",)
    needs = ("qalign",)
    architecture = "q-align"
    column_of_levels: ClassVar[int]

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The levels of the generated frames."""
        self.update(seen.name, seen.levels[:, self.column_of_levels])

    def update(self, clip: str, levels: np.ndarray) -> None:
        """`(S,)` levels of a clip's frames; their mean is kept.

        Raises:
            MetricError: no frame, or a level outside [1, 5].
        """
        if levels.ndim != 1 or not len(levels) or not ((levels >= 1) & (levels <= 5)).all():
            raise MetricError(f"{self.name}: the levels of clip {clip} are {levels}, not one or more in [1, 5]")
        self._add(clip, float(levels.mean(dtype=np.float64)))


class ImageQuality(_Level):
    """IQA: the expected level of "How would you rate the quality of this image?"."""

    name = "iqa"
    title = "IQA"
    aspect = "detail"
    reading = Reading(AUDIO, 30)
    column_of_levels = 0


class ImageAesthetics(_Level):
    """ASE: the expected level of "How would you rate the aesthetics of this image?"."""

    name = "ase"
    title = "ASE"
    aspect = "detail"
    reading = Reading(AUDIO, 31)
    column_of_levels = 1
