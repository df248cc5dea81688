"""Does the sound drive the mouth: correlation of the opening read from pixels with the opening that the sound asks for."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class MouthCorrelation:
    """Pearson correlation over all frames of all clips pooled.

    r = sum (m - mean m)(a - mean a) / sqrt(sum (m - mean m)^2 sum (a - mean a)^2)

    This is not Sync-C: it uses no SyncNet, only the puppets' measured geometry.

    Attributes:
        measured: `(N, T)` opening m read from pixels (`puppets.measure`).
        asked: `(N, T)` opening a as drawn, or of the sound that was given.
        name: `mouth_correlation` against the clip's own truth; give another name for another truth.
    """

    measured: np.ndarray
    asked: np.ndarray
    name: str = "mouth_correlation"
    unit: ClassVar[str] = "r"

    def __len__(self) -> int:
        return len(self.measured)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when either side is constant."""
        measured, asked = self.measured[clips].ravel(), self.asked[clips].ravel()
        measured, asked = measured - measured.mean(), asked - asked.mean()
        scale = np.sqrt((measured**2).sum() * (asked**2).sum())
        # Below this the "variation" is rounding, and the quotient would be noise.
        return float((measured * asked).sum() / scale) if scale > 1e-9 else float("nan")
