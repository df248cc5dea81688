"""Does the head turn and do the eyes blink as in the real clip."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import POSE
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network
from media.keypoints.head_pose import angle_between

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

CLOSED = 0.7  # of the open eye's aspect ratio, which is the clip's 75th percentile
LONGEST_BLINK = 0.5  # seconds; longer is an eye that is shut
MINUTE = 60.0


class HeadPoseError(ClipMean):
    """Mean over frames of the angle of the one turn that brings the generated head's pose to the real one's.

    The pose is that of six of the 68 points (Perspective-n-Point), with a camera that nobody told.
    """

    name = "head_pose_error"
    unit = "degrees"
    higher_is_better = False
    title = "head pose °"
    aspect = "head"
    reading = Reading(POSE, 22)
    digits = 1
    needs = ("keypoints", "truth_frames")
    damage = ("time shift", "another sample")

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """Both videos' heads."""
        self.update(seen.name, seen.face.angles, seen.real_face.angles)

    def update(self, clip: str, generated: np.ndarray, real: np.ndarray) -> None:
        """`(T, 3)` yaw, pitch and roll in degrees. NaN where no frame shows both heads.

        Raises:
            MetricError: other lengths.
        """
        if len(generated) != len(real):
            raise MetricError(
                f"{self.name}: clip {clip} has {len(generated)} generated frames for {len(real)} real ones"
            )
        both = np.isfinite(generated).all(axis=1) & np.isfinite(real).all(axis=1)
        self._add(clip, float(angle_between(generated[both], real[both]).mean()) if both.any() else float("nan"))


class BlinkRateError(ClipMean):
    """|blinks per minute of the generated video - of the real clip|, mean over clips. Short clips have none or one: read it with many."""

    name = "blink_rate_error"
    unit = "1/min"
    higher_is_better = False
    title = "blinks off, 1/min"
    aspect = "blinks"
    digits = 1
    needs = ("keypoints", "truth_frames")
    damage = ("frozen",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """Both videos' eyes."""
        self.update(seen.name, seen.face.eyes, seen.real_face.eyes, seen.fps)

    def update(self, clip: str, generated: np.ndarray, real: np.ndarray, fps: float) -> None:
        """`(T,)` eye aspect ratios at `fps`. NaN where either shows the eyes in less than half of the frames."""
        rates = [blinks(eyes, fps) * MINUTE * fps / len(eyes) for eyes in (generated, real)]
        self._add(clip, float(abs(rates[0] - rates[1])))


def blinks(eyes: np.ndarray, fps: float) -> float:
    """How often `(T,)` eye aspect ratios fall below 0.7 of the open eye's for half a second at most; NaN where the eyes are seen in less
    than half of the frames."""
    seen = np.isfinite(eyes)
    if seen.mean() < 0.5:
        return float("nan")
    shut = np.zeros(len(eyes) + 2, bool)
    shut[1:-1][seen] = eyes[seen] < CLOSED * np.quantile(eyes[seen], 0.75)
    edges = np.flatnonzero(np.diff(shut.astype(np.int8)))
    return float((edges[1::2] - edges[::2] <= max(1, LONGEST_BLINK * fps)).sum())
