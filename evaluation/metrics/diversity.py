"""How much two noise seeds differ under the same conditions. A one-step student that regresses to a mean has little.

Compare with the teacher's value on the same clips, never with zero or one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class PixelDiversity:
    """mean |x^(1) - x^(2)| over pixels and channels, RGB in [0, 1].

    Attributes:
        first: `(N, T, H, W, 3)` uint8, one seed.
        second: the same clips from another seed.
    """

    first: np.ndarray
    second: np.ndarray
    name: ClassVar[str] = "pixel_diversity"
    unit: ClassVar[str] = "RGB 0-1"

    def __len__(self) -> int:
        return len(self.first)

    def __call__(self, clips: np.ndarray) -> float:
        """Mean over everything."""
        return float(self._per_clip[clips].mean())

    @cached_property
    def _per_clip(self) -> np.ndarray:
        pairs = zip(self.first, self.second, strict=True)
        return np.array([np.abs(a.astype(np.float32) - b).mean() / 255.0 for a, b in pairs])


@dataclass(frozen=True)
class JointDiversity:
    """Mean distance in pixels between the same joint in two seeds, over joints present in both.

    Attributes:
        first: `(N, T, J, 2)` centres (x, y), NaN where missing.
        second: the same clips from another seed.
    """

    first: np.ndarray
    second: np.ndarray
    name: ClassVar[str] = "joint_diversity"
    unit: ClassVar[str] = "px"

    def __len__(self) -> int:
        return len(self.first)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when no joint is present in both."""
        distances = np.linalg.norm(self.first[clips] - self.second[clips], axis=-1)
        distances = distances[np.isfinite(distances)]
        return float(distances.mean()) if distances.size else float("nan")
