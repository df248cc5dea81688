"""Does the mouth open when it should: against the opening that was drawn, frame by frame, and when."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, SHUFFLED_AUDIO, TEACHER
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.people.truth.against_truth import AgainstTruth
from media.speech.mouth_and_sound import correlation, lag

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

SEARCHED = 5  # frames to either side


class TrueMouthCorrelation(AgainstTruth):
    """Mean over clips of Pearson's r over frames between the opening that is read and the one that was drawn.

    MediaPipe reads 0.4 of an opening: r does not mind, a difference would. Not defined on a clip whose mouth stands still in either.
    """

    name = "true_mouth_r"
    unit = "r"
    higher_is_better = True
    title = "mouth r with the truth"
    aspect = "speech"
    reading = Reading(AUDIO, 14)
    floor = Floor(TEACHER, SHUFFLED_AUDIO)

    def observe(self, seen: "Observed") -> None:
        """The generated mouth and the drawn one."""
        self.update(seen.name, seen.face.opening, seen.person_truth.opening)

    def update(self, clip: str, opening: np.ndarray, truth: np.ndarray) -> None:
        """`(T,)` openings; of the read one NaN where the mouth is not seen."""
        self._add(clip, correlation(opening, truth))


class TrueSyncOffset(AgainstTruth):
    """Mean over clips of the size of the shift, of 5 frames at most, at which the opening that is read goes best with the drawn one."""

    name = "true_sync_offset"
    unit = "frames"
    higher_is_better = False
    title = "mouth off the truth, frames"
    aspect = "sync"
    reading = Reading(AUDIO, 15)
    digits = 2
    floor = Floor(TEACHER, SHUFFLED_AUDIO)

    def observe(self, seen: "Observed") -> None:
        """The generated mouth and the drawn one."""
        self.update(seen.name, seen.face.opening, seen.person_truth.opening)

    def update(self, clip: str, opening: np.ndarray, truth: np.ndarray) -> None:
        """`(T,)` openings; of the read one NaN where the mouth is not seen."""
        self._add(clip, abs(lag(opening, truth, SEARCHED)))


class InSyncWithTruth(TrueSyncOffset):
    """Share of clips in which no shift goes better than none."""

    name = "true_in_sync"
    unit = "share"
    higher_is_better = True
    title = "in sync with the truth"
    aspect = "out of sync"
    reading = Reading(AUDIO, 16)

    def update(self, clip: str, opening: np.ndarray, truth: np.ndarray) -> None:
        """As of the offset."""
        found = lag(opening, truth, SEARCHED)
        self._add(clip, float("nan") if np.isnan(found) else float(found == 0))
