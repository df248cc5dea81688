"""Do the lids shut when they were drawn shut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import POSE, SHUFFLED_POSE, STUDENT
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.people.head_and_eyes import CLOSED, MINUTE, blinks
from evaluation.metrics.people.truth.against_truth import AgainstTruth
from evaluation.metrics.streaming import Network, StreamingMetric

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

SHUT = 0.5  # of `PersonTruth.lids`


class TrueBlinkRateError(AgainstTruth):
    """|blinks per minute that are seen - that were drawn|, mean over clips. Short clips have none or one: read it with many."""

    name = "true_blink_rate_error"
    unit = "1/min"
    higher_is_better = False
    title = "blinks off the truth, 1/min"
    aspect = "blinks"
    digits = 1

    def observe(self, seen: "Observed") -> None:
        """The generated eyes and the drawn lids."""
        self.update(seen.name, seen.face.eyes, seen.person_truth.lids, seen.fps)

    def update(self, clip: str, eyes: np.ndarray, lids: np.ndarray, fps: float) -> None:
        """`(T,)` eye aspect ratios and `(T,)` true lids at `fps`. NaN where the eyes are seen in less than half of the frames."""
        shut = np.concatenate([[False], lids > SHUT])
        drawn = (shut[1:] & ~shut[:-1]).sum()
        self._add(clip, abs(blinks(eyes, fps) - drawn) * MINUTE * fps / len(lids))


class BlinkAgreement(StreamingMetric):
    """F1 over the frames of all clips between eyes that are seen shut (below 0.7 of the open eye's aspect ratio) and lids drawn more than half shut."""

    name = "true_blink_agreement"
    unit = "F1"
    higher_is_better = True
    title = "shut lids seen shut, F1"
    aspect = "blinks"
    reading = Reading(POSE, 37)
    needs = ("keypoints", "person_truth")
    floor = Floor(STUDENT, SHUFFLED_POSE)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated eyes and the drawn lids."""
        self.update(seen.name, seen.face.eyes, seen.person_truth.lids)

    def leave_out(self, clip: str, need: Need) -> None:
        """Count the clip, and lower the coverage."""
        self._add(clip, None)

    def update(self, clip: str, eyes: np.ndarray, lids: np.ndarray) -> None:
        """`(T,)` eye aspect ratios, NaN where the eyes are not seen, and `(T,)` true lids."""
        known = np.isfinite(eyes)
        if known.mean() < 0.5:
            self._add(clip, None)
            return
        seen = np.zeros(len(eyes), bool)
        seen[known] = eyes[known] < CLOSED * np.quantile(eyes[known], 0.75)
        shut = lids > SHUT
        self._add(clip, np.array([(seen & shut).sum(), (seen != shut).sum()]))

    def over(self, records: Sequence[np.ndarray | None]) -> float:
        """NaN while no lid is shut, neither drawn nor seen."""
        both, one = np.sum([np.zeros(2, int), *(record for record in records if record is not None)], axis=0)
        return float(2 * both / (2 * both + one)) if both + one else float("nan")

    def defined(self, record: np.ndarray | None) -> bool:
        """Whether the eyes are seen."""
        return record is not None
