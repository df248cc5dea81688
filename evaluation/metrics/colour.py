"""Does the reference keep the identity: colours of hair, skin, shirt and wall against the reference frame's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class ColourError:
    """mean |c_measured - c_reference| over frames, the four parts and the three channels, RGB in [0, 1].

    Another identity's reference gives about 0.2 on puppets, which is the floor to read it against. This is no CSIM: no
    face network is involved.

    Attributes:
        measured: `(N, T, 4, 3)` mean colours per frame (`puppets.measure_colours`).
        reference: `(N, 4, 3)` the same boxes of the reference frame.
    """

    measured: np.ndarray
    reference: np.ndarray
    name: ClassVar[str] = "colour_error"
    unit: ClassVar[str] = "RGB 0-1"

    def __len__(self) -> int:
        return len(self.measured)

    def __call__(self, clips: np.ndarray) -> float:
        """Mean over everything."""
        return float(np.abs(self.measured[clips] - self.reference[clips][:, None]).mean())
