"""Is a person there: share of frames in which the detector finds a face, share of the hands' points that it finds."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network
from evaluation.metrics.wholebody import CONFIDENT, HANDS

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


class FacesFound(ClipMean):
    """Share of the frames in which more than half of the 68 face points are seen."""

    name = "faces_found"
    unit = "share"
    higher_is_better = True
    title = "faces found"
    aspect = "detail"
    reading = Reading(AUDIO, 26)
    needs = ("keypoints",)
    damage = ("more blur",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated video's faces."""
        self.update(seen.name, seen.face.found)

    def update(self, clip: str, found: np.ndarray) -> None:
        """`(T,)` bool."""
        self._add(clip, float(found.mean()))


class HandKeypointsFound(ClipMean):
    """Share of the 42 hand points that are seen, over frames. `hkc` averages their confidences instead."""

    name = "hand_keypoints_found"
    unit = "share"
    higher_is_better = True
    title = "hand points found"
    aspect = "smeared hands"
    reading = Reading(AUDIO, 25)
    needs = ("keypoints",)
    damage = ("more blur",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated video's hands."""
        self.update(seen.name, seen.keypoints)

    def update(self, clip: str, keypoints: np.ndarray) -> None:
        """`(T, 133, 3)` x, y, confidence."""
        self._add(clip, float((keypoints[:, HANDS, 2] > CONFIDENT).mean()))
