"""How good the given sound is: a fact of the set of clips, the same for every method on it."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics.streaming import ClipMean, Network
from media.speech.level import NOBODY, measure_speech

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


class SpeechQuality(ClipMean):
    """DNSMOS P.835 (Reddy et al. 2022), overall: what listeners would say of the given sound, 1 to 5. It says nothing of a method."""

    name = "dnsmos_of_given_sound"
    unit = "1 to 5"
    higher_is_better = None
    title = "DNSMOS of the given sound"
    digits = 2
    needs = ("dnsmos", "sound")
    architecture = "dnsmos-p835"

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The sound that was given."""
        speaks = measure_speech(seen.sound_at_16_khz).level >= NOBODY
        self.update(seen.name, seen.speech_opinions if speaks else None)

    def update(self, clip: str, opinions: np.ndarray | None) -> None:
        """`(3,)` of speech, background and all of it; None, and less coverage, where nobody is heard."""
        self._add(clip, float("nan") if opinions is None else float(opinions[2]))
