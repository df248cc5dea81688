"""Which conditions a sample trains with: eligible by subset membership, active by ratio, nested by strength.

OmniHuman-1 section 3.3. Principle 1: a sample that fails the audio or pose filter still trains the weaker conditions.
Principle 2: the stronger the condition, the smaller its ratio.
"""

from dataclasses import dataclass

import numpy as np

from profiles.schema import Ratios

# Weakest first. A stronger condition never appears without the weaker ones.
STRENGTH = ("text", "reference", "audio", "pose")


@dataclass(frozen=True)
class Conditions:
    """Which conditions are on for one sample."""

    text: bool
    reference: bool
    audio: bool
    pose: bool

    @property
    def label(self) -> str:
        """Name of the condition set for logs: the strongest active one, or "none"."""
        active = [name for name in STRENGTH if getattr(self, name)]
        return active[-1] if active else "none"


def draw_conditions(ratios: Ratios, audio_eligible: bool, pose_eligible: bool, rng: np.random.Generator) -> Conditions:
    """Activate conditions with exactly the given marginal ratios among eligible samples.

    One uniform draw u switches on every condition whose ratio exceeds u, so that with ratios that fall with strength
    the sets are nested: P(audio) = ratio of audio, and audio implies text and reference.

    Args:
        ratios: must fall (or stay) from text to pose.
        audio_eligible: the sample is in the audio subset.
        pose_eligible: the sample is in the pose subset.
        rng: source of the draw.

    Raises:
        ValueError: a stronger condition has a larger ratio than a weaker one.
    """
    values = [getattr(ratios, name) for name in STRENGTH]
    if any(strong > weak for weak, strong in zip(values, values[1:], strict=False)):
        raise ValueError(f"ratios must not grow from text to pose, got {dict(zip(STRENGTH, values, strict=True))}")
    u = rng.random()
    on = {name: u < value for name, value in zip(STRENGTH, values, strict=True)}
    audio = on["audio"] and audio_eligible
    return Conditions(on["text"], on["reference"], audio, on["pose"] and audio and pose_eligible)
