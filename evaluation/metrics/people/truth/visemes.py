"""Are the lips seen as the phone has them: shut at p, b and m, apart at open vowels, narrow where rounded, wide where spread."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, SHUFFLED_AUDIO, TEACHER
from evaluation.metrics.facts import Floor, Reading
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.people.truth.against_truth import away, eye_distance, read_face
from evaluation.metrics.person_truth import PersonTruth
from evaluation.metrics.streaming import Network, StreamingMetric
from evaluation.metrics.wholebody import FACE
from media.keypoints.face_points import INNER_LIPS

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

MOUTH_CORNERS = (48, 54)
CLOSED, OPEN, ROUNDED, SPREAD = range(4)
# Phones by what their lips are told by, as shapes of `people.speech.visemes`.
SHAPES = {
    "seal": CLOSED,
    **dict.fromkeys(("open", "open_wide", "half_open"), OPEN),
    **dict.fromkeys(("w", "round", "tight_round", "hush"), ROUNDED),
    **dict.fromkeys(("spread", "teeth"), SPREAD),
}
# A frame counts where its phone's shape is reached: neighbours blend, and at 16 frames a second many phones fall between two of them.
TRULY_SHUT, TRULY_OPEN = 0.005, 0.15  # of `PersonTruth.opening`
TRULY_NARROW, TRULY_WIDE = 0.94, 1.0  # of the mouth's width over the clip's median
# What is read. Of MediaPipe on 500 frames of 20 people at 96 px (none of them in a benchmark) 93 % of shut mouths read below 0.04 and 91 % of open
# ones above; it reads 0.4 of an opening, so that one limit lies between shut and open for what it reads and for the drawn points as well.
APART = 0.04  # of the inner lips, over the distance of the eyes' outer corners
NARROW = 0.97  # of the mouth's width over the clip's median


class _LipShapes(StreamingMetric):
    """Keeps of each clip how many frames there are of each class, and in how many the lips are seen so; pools all clips."""

    unit = "share"
    higher_is_better = True
    needs = ("keypoints", "person_truth")
    floor = Floor(TEACHER, SHUFFLED_AUDIO)
    classes: tuple[int, ...]

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The generated lips and the phones."""
        self.update(seen.name, seen.keypoints, seen.person_truth, seen.fps)

    def leave_out(self, clip: str, need: Need) -> None:
        """Count the clip, and lower the coverage."""
        self._add(clip, np.zeros((2, 4), int))

    def update(self, clip: str, keypoints: np.ndarray, truth: PersonTruth, fps: float) -> None:
        """`(T, 133, 3)` as read, and what is true at `fps`. A frame without a face counts as seen wrong."""
        self._add(clip, count_shapes(keypoints, truth, fps))

    def over(self, records: Sequence[np.ndarray]) -> float:
        """Mean over the classes of the share of their frames that are seen right; NaN while one of them has no frame."""
        there, right = np.sum(records, axis=0)[:, list(self.classes)]
        return float((right / there).mean()) if there.all() else float("nan")

    def defined(self, record: np.ndarray) -> bool:
        """Whether the clip has a frame of one of the classes."""
        return bool(record[0, list(self.classes)].any())


class BilabialsClosed(_LipShapes):
    """Share of the frames with p, b or m and lips that are truly shut in which they are seen shut."""

    name = "true_bilabials_closed"
    title = "bilabials seen closed"
    aspect = "speech"
    reading = Reading(AUDIO, 17)
    classes = (CLOSED,)


class VowelsOpen(_LipShapes):
    """Share of the frames with an open vowel and lips that are truly open in which they are seen open."""

    name = "true_vowels_open"
    title = "open vowels seen open"
    aspect = "speech"
    reading = Reading(AUDIO, 18)
    classes = (OPEN,)


class VisemeAccuracy(_LipShapes):
    """Mean over four classes of the share of their frames that are seen so: bilabials closed, vowels open, rounded lips narrow, spread lips wide.

    A mouth that stands still, whatever it shows, has 0.5.
    """

    name = "true_viseme_accuracy"
    title = "viseme accuracy"
    aspect = "speech"
    reading = Reading(AUDIO, 19)
    classes = (CLOSED, OPEN, ROUNDED, SPREAD)


def count_shapes(keypoints: np.ndarray, truth: PersonTruth, fps: float) -> np.ndarray:
    """`(2, 4)` int: frames of each class of lips, and those of them in which the keypoints show it."""
    asked = _classes(truth, fps)
    face, found = read_face(keypoints)
    eyes = eye_distance(face)
    found &= eyes > 0
    scale = np.where(found, eyes, np.nan)
    apart = away(face[:, INNER_LIPS[0]], face[:, INNER_LIPS[1]]) / scale
    narrow = _relative_width(face, scale) < NARROW
    shown = {CLOSED: apart < APART, OPEN: apart >= APART, ROUNDED: narrow, SPREAD: ~narrow & found}
    return np.array([[(asked == c).sum() for c in shown], [(seen & (asked == c)).sum() for c, seen in shown.items()]])


def _classes(truth: PersonTruth, fps: float) -> np.ndarray:
    """`(T,)` the class that a frame's phone and true lips agree on, -1 where they do not."""
    # Brings all that renders people, and each command asks which metrics there are.
    from people.speech.visemes import SHAPE_OF_PHONE

    face = truth.keypoints[:, FACE].astype(np.float64)
    width = _relative_width(face, eye_distance(face))
    reached = {
        CLOSED: truth.opening <= TRULY_SHUT,
        OPEN: truth.opening >= TRULY_OPEN,
        ROUNDED: width <= TRULY_NARROW,
        SPREAD: width >= TRULY_WIDE,
    }
    spoken = [SHAPES.get(SHAPE_OF_PHONE.get(truth.phone_at(t, fps), ""), -1) for t in range(len(width))]
    return np.array([c if c >= 0 and reached[c][t] else -1 for t, c in enumerate(spoken)])


def _relative_width(face: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """`(T,)` width of the mouth over the eyes' distance, over the clip's median; NaN where `eyes` is."""
    width = away(face[:, MOUTH_CORNERS[0]], face[:, MOUTH_CORNERS[1]]) / eyes
    seen = width[np.isfinite(width)]
    return width / np.median(seen) if len(seen) else width
