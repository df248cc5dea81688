"""Is the face where it was drawn, and does the head point where it should."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import POSE, SHUFFLED_POSE, STUDENT
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.people.truth.against_truth import AgainstTruth, away, eye_distance, read_face
from evaluation.metrics.wholebody import FACE
from media.keypoints.head_pose import angle_between, head_angles

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

FEWEST_FRAMES = 0.5  # share in which the face must be found: of a lost face no error is read


class TrueFacePointsError(AgainstTruth):
    """Mean over clips of the mean distance of 68 face points to where they were drawn, over the distance of the eyes' outer corners.

    Not defined where the face is found in less than half of the frames; MediaPipe puts a jaw where it sees the outline, so that the ceiling is not 0.
    """

    name = "true_face_points_error"
    unit = "eye distances"
    higher_is_better = False
    title = "68 points off the truth"
    aspect = "face points"
    reading = Reading(POSE, 31)
    floor = Floor(STUDENT, SHUFFLED_POSE)

    def observe(self, seen: "Observed") -> None:
        """The generated face and the drawn one."""
        self.update(seen.name, seen.keypoints, seen.person_truth.keypoints)

    def update(self, clip: str, keypoints: np.ndarray, truth: np.ndarray) -> None:
        """`(T, 133, 3)` as read and as drawn."""
        face, found = read_face(keypoints)
        drawn = truth[:, FACE]
        error = away(face, drawn).mean(axis=1) / np.median(eye_distance(drawn))
        self._add(clip, float(error[found].mean()) if found.mean() >= FEWEST_FRAMES else float("nan"))


class TrueHeadPoseError(AgainstTruth):
    """Mean over frames of the angle between the head's pose by the points that are read and by those that were drawn.

    Both are Perspective-n-Point on the same six of 68 points: the drawn ones follow the rig's turns, and a camera that nobody told errs alike on both.
    """

    name = "true_head_pose_error"
    unit = "degrees"
    higher_is_better = False
    title = "head pose off the truth °"
    aspect = "head"
    reading = Reading(POSE, 32)
    digits = 1
    floor = Floor(STUDENT, SHUFFLED_POSE)

    def observe(self, seen: "Observed") -> None:
        """The generated head and the drawn one."""
        self.update(seen.name, seen.face.angles, seen.person_truth.keypoints, *seen.generated.shape[1:3])

    def update(self, clip: str, angles: np.ndarray, truth: np.ndarray, height: int, width: int) -> None:
        """`(T, 3)` degrees as read, NaN where the head is not seen, and `(T, 133, 3)` as drawn in a picture of `height` x `width`."""
        drawn = head_angles(truth, height, width, -1.0)
        both = np.isfinite(angles).all(axis=1) & np.isfinite(drawn).all(axis=1)
        enough = both.mean() >= FEWEST_FRAMES
        self._add(clip, float(angle_between(angles[both], drawn[both]).mean()) if enough else float("nan"))
