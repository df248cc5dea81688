"""Which conditions a sample trains with: eligible by subset membership, active by ratio, nested by strength.

OmniHuman-1 section 3.3. Principle 1: a sample that fails the audio or pose filter still trains the weaker conditions.
Principle 2: the stronger the condition, the smaller its ratio.
"""

from dataclasses import dataclass

import numpy as np

from profiles.conditions import CONDITIONS
from profiles.schema import Ratios


@dataclass(frozen=True)
class Conditions:
    """Which conditions are on for one sample: a field for each row of `profiles.conditions.TABLE`."""

    text: bool = False
    reference: bool = False
    audio: bool = False
    pose: bool = False

    @property
    def active(self) -> tuple[str, ...]:
        """Names of those that are on, weakest first."""
        return tuple(name for name in CONDITIONS if getattr(self, name))

    @property
    def label(self) -> str:
        """Name of the condition set for logs: the strongest where all weaker ones are on too, "none", or `only-` and all."""
        active = self.active
        if not active:
            return "none"
        return active[-1] if active == CONDITIONS[: len(active)] else "-".join(("only", *active))


def draw_conditions(ratios: Ratios, eligible: Conditions, rng: np.random.Generator) -> Conditions:
    """Activate conditions with the given marginal ratios among eligible samples.

    Nested: one uniform draw u switches on every condition whose ratio exceeds u. Ratios fall with strength, so the marginals
    are exact and a stronger condition never appears without the weaker ones that the sample may have. Not nested: a draw for each, and eligibility of each, by itself.
    """
    if not ratios.nested:
        draws = rng.random(len(CONDITIONS))
        on = {n: bool(u < getattr(ratios, n)) and getattr(eligible, n) for n, u in zip(CONDITIONS, draws, strict=True)}
        return Conditions(**on)
    u = rng.random()
    return Conditions(**{n: getattr(eligible, n) and bool(u < getattr(ratios, n)) for n in CONDITIONS})
