"""Does the mouth move as the real one does, and with the sound: correlations of the opening that the keypoints show. No SyncNet looks."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network
from media.speech.mouth_and_sound import correlation, lag

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

SEARCHED = 0.3  # seconds to either side; a mouth that is further off is not late, it says something else


class _OfKeypoints(ClipMean):
    def __init__(self, network: Network):
        super().__init__(network)


class MouthOpeningCorrelation(_OfKeypoints):
    """Mean over clips of Pearson's r over frames between the mouth's opening in the generated video and in the real clip.

    The opening is the distance of the inner lips in heights of the face. Not defined on a clip whose mouth stands still in either.
    """

    name = "mouth_opening_r"
    unit = "r"
    higher_is_better = True
    title = "mouth r with the real clip"
    aspect = "mouth"
    reading = Reading(AUDIO, 11)
    needs = ("keypoints", "truth_frames")
    damage = ("another sample",)  # late by a quarter of a second is no better than another mouth

    def observe(self, seen: "Observed") -> None:
        """Both videos' mouths."""
        self.update(seen.name, seen.face.opening, seen.real_face.opening)

    def update(self, clip: str, generated: np.ndarray, real: np.ndarray) -> None:
        """`(T,)` openings, NaN where the mouth is not seen."""
        self._add(clip, correlation(generated, real))


class MouthSoundCorrelation(_OfKeypoints):
    """Mean over clips of Pearson's r over frames between the mouth's opening and the loudness of the sound that was given.

    Loudness explains an opening in part only: read it against the real clips' own value.
    """

    name = "mouth_sound_r"
    unit = "r"
    higher_is_better = True
    title = "mouth r with loudness"
    aspect = "speech"
    reading = Reading(AUDIO, 12)
    needs = ("keypoints", "sound")
    damage = ("another sound",)

    def observe(self, seen: "Observed") -> None:
        """The generated video's mouth and the given sound."""
        self.update(seen.name, seen.face.opening, seen.heard)

    def update(self, clip: str, opening: np.ndarray, heard: np.ndarray) -> None:
        """`(T,)` opening, NaN where the mouth is not seen, and `(T,)` RMS about each frame."""
        self._add(clip, correlation(opening, heard))


class MouthSoundLag(_OfKeypoints):
    """Mean over clips of the size of the lag, of 300 ms at most, at which the mouth's opening goes best with the given sound's loudness."""

    name = "mouth_sound_lag"
    unit = "ms"
    higher_is_better = False
    title = "mouth lag ms"
    aspect = "sync"
    reading = Reading(AUDIO, 13)
    digits = 0
    needs = ("keypoints", "sound")
    damage = ("time shift",)

    def observe(self, seen: "Observed") -> None:
        """The generated video's mouth and the given sound."""
        self.update(seen.name, seen.face.opening, seen.heard, seen.fps)

    def update(self, clip: str, opening: np.ndarray, heard: np.ndarray, fps: float) -> None:
        """`(T,)` opening and `(T,)` RMS at `fps`."""
        self._add(clip, abs(lag(opening, heard, max(1, round(SEARCHED * fps)))) * 1000 / fps)
