"""Does the reference keep the identity: colours of hair, skin, shirt and wall against the reference frame's."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, GROUND_TRUTH, OTHER_IDENTITY
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.puppet_truth import Measured, PuppetMetric, PuppetTruth


@dataclass(frozen=True)
class ColourError(PuppetMetric):
    """mean |c_measured - c_reference| over frames, the four parts and the three channels, RGB in [0, 1].

    Another identity's reference gives about 0.2 on puppets, which is the floor to read it against. This is no CSIM: no
    face network is involved.

    Attributes:
        measured: `(N, T, 4, 3)` mean colours per frame (`puppets.measure_colours`).
        reference: `(N, 4, 3)` the same boxes of the reference frame.
    """

    measured: np.ndarray
    reference: np.ndarray
    name = "colour_error"
    unit = "RGB 0-1"
    higher_is_better = False
    title = "colour error"
    digits = 4
    place = 3
    floor = Floor(GROUND_TRUTH, OTHER_IDENTITY)
    reading = Reading(AUDIO, 4)
    damage = ("another sample",)

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Against the colours of the reference."""
        return cls(measured.colours, truth.colours)

    def __len__(self) -> int:
        return len(self.measured)

    def __call__(self, clips: np.ndarray) -> float:
        """Mean over everything."""
        return float(np.abs(self.measured[clips] - self.reference[clips][:, None]).mean())
