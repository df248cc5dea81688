"""Hands and poses out of 133 keypoints: HKC, HKV, AKD, and what AKD leaves out.

CyberHost, where HKC and HKV come from, gives neither detector nor units nor the axis of the variance. The formulas here are
this project's reading: numbers compare within this harness and with nothing else. The detector is the metric's network.
"""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network, checked_finite
from evaluation.metrics.wholebody import CONFIDENT, HANDS, LEFT_SHOULDER, RIGHT_SHOULDER

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

KEYPOINTS = 133


class HandKeypointConfidence(ClipMean):
    """HKC = mean over frames and the 42 hand keypoints of the detector's confidence, in [0, 1]. Hands out of view lower it."""

    name = "hkc"
    unit = "confidence"
    higher_is_better = True
    title = "HKC"
    aspect = "smeared hands"
    reading = Reading(AUDIO, 23)
    damage = ("more blur",)
    needs = ("keypoints",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated video's keypoints."""
        self.update(seen.name, seen.keypoints)

    def update(self, clip: str, keypoints: np.ndarray) -> None:
        """`(T, 133, 3)` x, y, confidence."""
        self._add(clip, float(_checked(keypoints, self.name, clip)[:, HANDS, 2].mean()))


class HandKeypointVariance(ClipMean):
    """HKV = mean over hand keypoints k of Var_t(x_k) + Var_t(y_k), over the frames in which k is seen (two or more).

    In squared pixels. Jitter raises it: read it beside HKC.
    """

    name = "hkv"
    unit = "px^2"
    higher_is_better = True
    title = "HKV"
    aspect = "hand motion"
    reading = Reading(AUDIO, 24)
    damage = ("frozen",)
    needs = ("keypoints",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated video's keypoints."""
        self.update(seen.name, seen.keypoints)

    def update(self, clip: str, keypoints: np.ndarray) -> None:
        """`(T, 133, 3)` x, y, confidence. NaN, and less coverage, where no hand is seen twice."""
        self._add(clip, _variance(_checked(keypoints, self.name, clip)))


class HandKeypointVariancePerBodyLength(ClipMean):
    """HKV divided by the square of the clip's body length: the median over frames of the distance between the shoulders, because
    hips and feet are out of view in talking-person framings."""

    name = "hkv_per_body_length"
    unit = "shoulder widths^2"
    higher_is_better = True
    title = "HKV / shoulder width²"
    aspect = "hand motion"
    damage = ("frozen",)
    needs = ("keypoints",)

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated video's keypoints."""
        self.update(seen.name, seen.keypoints)

    def update(self, clip: str, keypoints: np.ndarray) -> None:
        """`(T, 133, 3)` x, y, confidence. NaN, and less coverage, where no hand is seen twice, or no shoulders."""
        keypoints = _checked(keypoints, self.name, clip)
        self._add(clip, _variance(keypoints) / body_length(keypoints) ** 2)


class AverageKeypointDistance(ClipMean):
    """AKD = mean over frames and keypoints seen in both clips of |p_generated - p_real|, pixels. Read `missing_keypoints` too."""

    name = "akd"
    unit = "px"
    higher_is_better = False
    title = "AKD"
    aspect = "keypoints"
    reading = Reading(POSE, 20)
    damage = ("time shift", "another sample")
    needs = ("keypoints", "truth_frames")

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """Both videos' keypoints."""
        self.update(seen.name, seen.real_keypoints, seen.keypoints)

    def update(self, clip: str, real: np.ndarray, generated: np.ndarray) -> None:
        """`(T, 133, 3)` each, in pixels of pictures of one size. NaN where no keypoint is seen in both."""
        real, generated = _pair(real, generated, self.name, clip)
        both = (real[..., 2] > CONFIDENT) & (generated[..., 2] > CONFIDENT)
        distances = np.linalg.norm(generated[..., :2] - real[..., :2], axis=-1)[both]
        self._add(clip, float(distances.mean()) if distances.size else float("nan"))


class MissingKeypoints(ClipMean):
    """Share of the keypoints seen in the real clip that are not seen in the generated one: what AKD cannot count."""

    name = "missing_keypoints"
    unit = "share"
    higher_is_better = False
    title = "missing keypoints"
    aspect = "detail"
    reading = Reading(POSE, 21)
    damage = ("more blur",)
    needs = ("keypoints", "truth_frames")

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """Both videos' keypoints."""
        self.update(seen.name, seen.real_keypoints, seen.keypoints)

    def update(self, clip: str, real: np.ndarray, generated: np.ndarray) -> None:
        """`(T, 133, 3)` each. NaN where the real clip shows none."""
        real, generated = _pair(real, generated, self.name, clip)
        seen = real[..., 2] > CONFIDENT
        self._add(clip, float((generated[..., 2][seen] <= CONFIDENT).mean()) if seen.any() else float("nan"))


def _variance(keypoints: np.ndarray) -> float:
    hands = keypoints[:, HANDS]
    places = np.where(hands[..., 2:] > CONFIDENT, hands[..., :2], np.nan)
    places = places[:, np.isfinite(places[..., 0]).sum(axis=0) >= 2]
    return float(np.nanvar(places, axis=0).sum(axis=-1).mean()) if places.shape[1] else float("nan")


def body_length(keypoints: np.ndarray) -> float:
    """Median over frames of the distance between the shoulders, pixels; NaN where they are never both seen."""
    pair = keypoints[:, [LEFT_SHOULDER, RIGHT_SHOULDER]]
    seen = pair[..., 2].min(axis=1) > CONFIDENT
    widths = np.linalg.norm(pair[:, 0, :2] - pair[:, 1, :2], axis=-1)[seen]
    return float(np.median(widths)) if widths.size and np.median(widths) > 0 else float("nan")


def _checked(keypoints: np.ndarray, metric: str, clip: str) -> np.ndarray:
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (KEYPOINTS, 3) or not len(keypoints):
        raise MetricError(f"{metric}: keypoints of clip {clip} are {keypoints.shape}, not (T, {KEYPOINTS}, 3)")
    return checked_finite(keypoints, metric, clip)


def _pair(real: np.ndarray, generated: np.ndarray, metric: str, clip: str) -> tuple[np.ndarray, np.ndarray]:
    real, generated = _checked(real, metric, clip), _checked(generated, metric, clip)
    if len(real) != len(generated):
        raise MetricError(f"{metric}: clip {clip} has {len(generated)} generated frames for {len(real)} real ones")
    return real, generated
