"""How much two noise seeds differ under the same conditions. A one-step student that regresses to a mean has little.

Compare with the teacher's value on the same clips, never with zero or one.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.metrics.facts import MetricFacts


@dataclass(frozen=True)
class PixelDiversity(MetricFacts):
    """mean |x^(1) - x^(2)| over pixels and channels, RGB in [0, 1].

    Attributes:
        per_clip: `(N,)` float32, the mean of each clip.
    """

    per_clip: np.ndarray
    name = "pixel_diversity"
    unit = "RGB 0-1"
    higher_is_better = None  # the teacher's value is what to read it against
    title = "pixel diversity"
    place = 10
    needs = ("second_seed",)

    @classmethod
    def of_videos(cls, first: np.ndarray, second: np.ndarray) -> Self:
        """Of the `(N, T, H, W, 3)` uint8 videos of two seeds."""
        pairs = zip(first, second, strict=True)
        return cls(np.array([np.abs(a.astype(np.float32) - b).mean() / 255.0 for a, b in pairs]))

    def __len__(self) -> int:
        return len(self.per_clip)

    def __call__(self, clips: np.ndarray) -> float:
        """Mean over everything."""
        return float(self.per_clip[clips].mean())


@dataclass(frozen=True)
class JointDiversity(MetricFacts):
    """Mean distance in pixels between the same joint in two seeds, over joints present in both.

    Attributes:
        first: `(N, T, J, 2)` centres (x, y), NaN where missing.
        second: the same clips from another seed.
    """

    first: np.ndarray
    second: np.ndarray
    name = "joint_diversity"
    unit = "px"
    higher_is_better = None  # the teacher's value is what to read it against
    title = "joint diversity px"
    digits = 2
    place = 11
    needs = ("puppet_truth", "second_seed")

    def __len__(self) -> int:
        return len(self.first)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when no joint is present in both."""
        distances = np.linalg.norm(self.first[clips] - self.second[clips], axis=-1)
        distances = distances[np.isfinite(distances)]
        return float(distances.mean()) if distances.size else float("nan")
