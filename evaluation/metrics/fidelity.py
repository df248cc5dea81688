"""How close pixels are to the truth, where the truth is the only right answer: reconstructions."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evaluation.metrics.facts import MetricFacts


@dataclass(frozen=True)
class PeakSignalToNoise(MetricFacts):
    """PSNR = 10 log10(255^2 / MSE) with the MSE pooled over all clips.

    Attributes:
        frames: `(N, T, H, W, 3)` uint8.
        truth: the same shape.
    """

    frames: np.ndarray
    truth: np.ndarray
    name = "psnr"
    unit = "dB"
    higher_is_better = True
    title = "PSNR"
    aspect = "detail"
    place = 9
    needs = ("truth_frames",)

    def __len__(self) -> int:
        return len(self.frames)

    def __call__(self, clips: np.ndarray) -> float:
        """Infinite for equal pixels."""
        error = self._squared_error[clips].mean()
        return float(10 * np.log10(255.0**2 / error)) if error > 0 else float("inf")

    @cached_property
    def _squared_error(self) -> np.ndarray:
        return np.array(
            [np.square(a.astype(np.float32) - b).mean() for a, b in zip(self.frames, self.truth, strict=True)]
        )
