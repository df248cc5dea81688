"""Metrics of faces, hands and sound against other implementations; `metric_agreement` puts all metrics together."""

import math
import statistics
from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.stats import pearsonr

from evaluation.metrics.people.found import FacesFound, HandKeypointsFound
from evaluation.metrics.people.head_and_eyes import BlinkRateError, HeadPoseError
from evaluation.metrics.people.mouth_motion import MouthOpeningCorrelation, MouthSoundCorrelation, MouthSoundLag
from media.keypoints.head_pose import angles_of
from networks.weights import Network

DETECTOR = Network("keypoints", "0" * 64, "random input")
CLIPS = 3


def _correlation(kind: type) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        metric, values = kind(DETECTOR), []
        for clip in range(CLIPS):
            first, second = np.random.default_rng(clip).random((2, 20))
            first[3] = np.nan
            metric.update(str(clip), first, second)
            seen = [i for i in range(20) if i != 3]
            values.append(float(pearsonr(first[seen], second[seen]).statistic))
        return metric.compute().value, statistics.fmean(values)

    return pair


def _lag() -> tuple[float, float]:
    """Mouths that come 3 and 5 frames late and 1 frame early, at 25 frames a second."""
    metric = MouthSoundLag(DETECTOR)
    for shift in (3, 5, -1):
        heard = np.random.default_rng(shift + 5).random(60)
        metric.update(str(shift), np.roll(heard, shift), heard, 25.0)
    return metric.compute().value, (3 + 5 + 1) / 3 * 40.0


def _head_pose() -> tuple[float, float]:
    metric, angles = HeadPoseError(DETECTOR), []
    for clip in range(CLIPS):
        rng = np.random.default_rng(clip)
        poses = Rotation.from_rotvec(rng.uniform(-0.4, 0.4, (5, 3)))
        turns = Rotation.from_rotvec(rng.uniform(-0.3, 0.3, (5, 3)))
        turned = [angles_of(matrix) for matrix in (poses * turns).as_matrix()]
        metric.update(str(clip), np.array(turned), np.array([angles_of(matrix) for matrix in poses.as_matrix()]))
        angles.append(statistics.fmean(math.degrees(angle) for angle in turns.magnitude()))
    return metric.compute().value, statistics.fmean(angles)


def _blinks() -> tuple[float, float]:
    """Three blinks of 2 frames against one in 4 seconds, and a pair of eyes that stay shut for a second, which is no blink."""
    made, real, asleep = np.full((3, 100), 0.3)
    for start in (10, 40, 80):
        made[start : start + 2] = 0.1
    real[50:53] = 0.1
    asleep[20:45] = 0.05
    metric = BlinkRateError(DETECTOR)
    metric.update("blinking", made, real, 25.0)
    metric.update("asleep", asleep, real, 25.0)
    return metric.compute().value, (2 * 15 + 1 * 15) / 2


def _found() -> tuple[float, float]:
    metric, rng = FacesFound(DETECTOR), np.random.default_rng(0)
    clips = rng.random((CLIPS, 9)) < 0.6
    for clip, found in enumerate(clips):
        metric.update(str(clip), found)
    return metric.compute().value, sum(map(sum, clips.tolist())) / clips.size


def _hands() -> tuple[float, float]:
    metric, rng = HandKeypointsFound(DETECTOR), np.random.default_rng(1)
    clips = rng.random((CLIPS, 5, 133, 3))
    for clip, points in enumerate(clips):
        metric.update(str(clip), points)
    return metric.compute().value, statistics.fmean(
        float(p[2] > 0.5) for points in clips for frame in points for p in frame[91:133]
    )


PEOPLE: dict[str, tuple[str, Callable[[], tuple[float, float]]]] = {
    "mouth_opening_r": ("scipy.stats.pearsonr", _correlation(MouthOpeningCorrelation)),
    "mouth_sound_r": ("scipy.stats.pearsonr", _correlation(MouthSoundCorrelation)),
    "mouth_sound_lag": ("mouths that are off by known amounts", _lag),
    "head_pose_error": ("scipy.spatial.transform.Rotation", _head_pose),
    "blink_rate_error": ("eyes that blink a known number of times", _blinks),
    "faces_found": ("loops", _found),
    "hand_keypoints_found": ("loops", _hands),
}
