"""Keypoints in the COCO-WholeBody-133 layout that DWPose and RTMW give, and what a detector of them must be."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from media.keypoints.face_points import lip_opening

KEYPOINTS = 133
LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
BODY = slice(0, 17)
UPPER_BODY = slice(0, 13)  # nose to hips: what a talking person shows
FACE = slice(23, 91)
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)
# In the iBUG order of the 68 face points, 62 is the middle of the inner upper lip and 66 of the inner lower lip.
INNER_LIP_TOP, INNER_LIP_BOTTOM = 23 + 62, 23 + 66
CONFIDENT = 0.5  # a point counts as seen above this


@runtime_checkable
class KeypointDetector(Protocol):
    """Finds one person's keypoints. `name` and `version` enter the key of everything made from them.

    It must be picklable: each decoding process gets a copy once.
    """

    @property
    def name(self) -> str:
        """Of the method."""
        ...

    @property
    def version(self) -> str:
        """Of its code and weights."""
        ...

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB in the bucket to `(T, 133, 3)` float32: x, y in pixels, confidence in [0, 1]."""
        ...


@dataclass(frozen=True)
class Detected:
    """`keypoints` `(T, 133, 3)` float32 of the main person; `people` `(T,)` how many are seen, None if not counted."""

    keypoints: np.ndarray
    people: np.ndarray | None


@runtime_checkable
class PeopleDetector(Protocol):
    """A keypoint detector that also counts."""

    def detect(self, frames: np.ndarray) -> Detected:
        """`(T, H, W, 3)` uint8 RGB in the bucket to keypoints and counts."""
        ...


def detect(detector: KeypointDetector, frames: np.ndarray) -> Detected:
    """Keypoints, and the number of people where the detector counts them."""
    if isinstance(detector, PeopleDetector):
        return detector.detect(frames)
    return Detected(np.asarray(detector(frames), np.float32), None)


def mouth_opening(keypoints: np.ndarray) -> np.ndarray:
    """`(T,)` pixels between the inner lips, NaN where either is not seen, of `(T, 133, 3)` keypoints."""
    return lip_opening(keypoints[:, FACE], CONFIDENT)
