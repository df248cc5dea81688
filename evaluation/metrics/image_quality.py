"""IQA and ASE: Q-Align's levels of quality and aesthetics, 1 (bad) to 5 (excellent). Saturated, and blind to motion."""

import numpy as np

from evaluation.metrics.streaming import ClipMean, MetricError, Network


class _Level(ClipMean):
    unit = "1 to 5"
    higher_is_better = True
    damage = ("more blur",)
    architecture = "q-align"

    def __init__(self, network: Network):
        super().__init__(network)

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


class ImageAesthetics(_Level):
    """ASE: the expected level of "How would you rate the aesthetics of this image?"."""

    name = "ase"
    title = "ASE"
