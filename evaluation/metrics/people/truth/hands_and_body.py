"""Are hands and joints where they were drawn, and are those found that are to be seen."""

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import POSE, SHUFFLED_POSE, STUDENT
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.people.truth.against_truth import AgainstTruth, away
from evaluation.metrics.wholebody import CONFIDENT

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

ONE_HAND = (slice(91, 112), slice(112, 133))  # left, right
JOINTS = slice(0, 11)  # nose, eyes, ears, shoulders, elbows, wrists
SHOULDERS = (5, 6)
SEEN = 1.0  # in the truth; 0.5 is covered, 0 outside the picture


class _OfPose(AgainstTruth):
    higher_is_better = False
    floor = Floor(STUDENT, SHUFFLED_POSE)

    def observe(self, seen: "Observed") -> None:
        """What is read in the generated frames and what was drawn."""
        self.update(seen.name, seen.keypoints, seen.person_truth.keypoints)

    def update(self, clip: str, keypoints: np.ndarray, truth: np.ndarray) -> None:
        """`(T, 133, 3)` as read and as drawn. NaN where nothing of it is both drawn and read."""
        self._add(clip, self.of_clip(keypoints, truth))

    @abstractmethod
    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """The clip's number out of `(T, 133, 3)` as read and as drawn, or NaN."""


class TrueHandErrorPixels(_OfPose):
    """Mean distance in pixels of the 21 points of a hand to where they were drawn, over frames that show it and in which it is found."""

    name = "true_hand_error_px"
    unit = "px"
    title = "hands off the truth, px"
    aspect = "hands"

    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """Of both hands together."""
        errors = [away(read, drawn).mean(axis=1) for read, drawn, _ in _hands(keypoints, truth)]
        return _mean(errors)


class TrueHandError(_OfPose):
    """The same over the hand's size, the longer side of the box around its drawn points, median over the frames that show it."""

    name = "true_hand_error"
    unit = "hand sizes"
    title = "hands off the truth"
    aspect = "hands"
    reading = Reading(POSE, 33)

    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """Of both hands together."""
        return _mean([away(read, drawn).mean(axis=1) / size for read, drawn, size in _hands(keypoints, truth)])


class MissingTrueHands(_OfPose):
    """Share of the hands that a frame truly shows, most of their points uncovered, in which no hand is found."""

    name = "true_hands_missing"
    unit = "share"
    title = "shown hands not found"
    aspect = "smeared hands"
    reading = Reading(POSE, 34)

    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """Of both hands together."""
        lost = [~_found(keypoints[:, hand])[hand_shown(truth[:, hand])] for hand in ONE_HAND]
        return _mean(lost)


class TrueJointError(_OfPose):
    """Mean distance of the joints from nose to wrists to where they were drawn, over the shoulders' width, of those drawn, seen and found."""

    name = "true_joint_error"
    unit = "shoulder widths"
    title = "joints off the truth"
    aspect = "joints"
    reading = Reading(POSE, 35)

    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """Over all joints and frames."""
        drawn, read = truth[:, JOINTS], keypoints[:, JOINTS]
        width = np.median(away(truth[:, SHOULDERS[0]], truth[:, SHOULDERS[1]]))
        both = (drawn[..., 2] == SEEN) & (read[..., 2] > CONFIDENT)
        return _mean([away(read, drawn)[both] / width])


class MissingTrueJoints(_OfPose):
    """Share of the joints from nose to wrists that a frame truly shows in which they are not found."""

    name = "true_joints_missing"
    unit = "share"
    title = "shown joints not found"
    aspect = "gone joints"
    reading = Reading(POSE, 36)

    def of_clip(self, keypoints: np.ndarray, truth: np.ndarray) -> float:
        """Over all joints and frames."""
        return _mean([(keypoints[:, JOINTS, 2] <= CONFIDENT)[truth[:, JOINTS, 2] == SEEN]])


def hand_shown(hand: np.ndarray) -> np.ndarray:
    """`(T,)` whether `(T, 21, 3)` true points lie in the picture, most of them uncovered: what a caption calls a hand in view."""
    shown: np.ndarray = (hand[..., 2] > 0).all(axis=1) & ((hand[..., 2] == SEEN).mean(axis=1) > 0.5)
    return shown


def _found(hand: np.ndarray) -> np.ndarray:
    found: np.ndarray = (hand[..., 2] > CONFIDENT).mean(axis=1) > 0.5
    return found


def _hands(keypoints: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Per hand: `(n, 21, 3)` as read and as drawn in the frames that have both, and its size in pixels."""
    hands = []
    for hand in ONE_HAND:
        shown = hand_shown(truth[:, hand])
        both = shown & _found(keypoints[:, hand])
        if both.any():
            drawn = truth[shown, hand, :2]
            size = float(np.median((drawn.max(axis=1) - drawn.min(axis=1)).max(axis=1)))
            hands.append((keypoints[both, hand], truth[both, hand], size))
    return hands


def _mean(parts: list[np.ndarray]) -> float:
    values = np.concatenate([*parts, np.zeros(0)])
    return float(values.mean()) if len(values) else float("nan")
