"""How close pixels are to the truth, where the truth is the only right answer: reconstructions."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.metrics.facts import MetricFacts


@dataclass(frozen=True)
class PeakSignalToNoise(MetricFacts):
    """PSNR = 10 log10(255^2 / MSE) with the MSE pooled over all clips.

    Attributes:
        squared_error: `(N,)` float32, MSE of each clip.
    """

    squared_error: np.ndarray
    name = "psnr"
    unit = "dB"
    higher_is_better = True
    title = "PSNR"
    aspect = "detail"
    place = 9
    needs = ("truth_frames",)

    @classmethod
    def of_videos(cls, frames: np.ndarray, truth: np.ndarray) -> Self:
        """Of `(N, T, H, W, 3)` uint8 each."""
        pairs = zip(frames, truth, strict=True)
        return cls(np.array([np.square(a.astype(np.float32) - b).mean() for a, b in pairs]))

    def __len__(self) -> int:
        return len(self.squared_error)

    def __call__(self, clips: np.ndarray) -> float:
        """Infinite for equal pixels."""
        error = self.squared_error[clips].mean()
        return float(10 * np.log10(255.0**2 / error)) if error > 0 else float("inf")
