"""Does the pose drive the arms, and are the arms there at all."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.metrics.facts import Reading
from evaluation.metrics.puppet_truth import Measured, PuppetMetric, PuppetTruth

WRISTS = [1, 3]  # of left elbow, left wrist, right elbow, right wrist


@dataclass(frozen=True)
class _JointDistances(PuppetMetric):
    """Euclidean distances of joints that are seen and have a truth.

    Attributes:
        measured: `(N, T, J, 2)` centres (x, y) in pixels, NaN where missing.
        truth: `(N, T, J, 2)` centres as drawn, NaN where not drawn.
    """

    measured: np.ndarray
    truth: np.ndarray
    unit = "px"
    higher_is_better = False
    digits = 2

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Against the joints as drawn."""
        return cls(measured.joints, truth.joints)

    def __len__(self) -> int:
        return len(self.measured)

    def present(self, clips: np.ndarray) -> np.ndarray:
        """`(K,)` distances in pixels of all joints present in both."""
        distances = np.linalg.norm(self.measured[clips] - self.truth[clips], axis=-1)
        return distances[np.isfinite(distances)]


@dataclass(frozen=True)
class JointErrorMedian(_JointDistances):
    """Median over present joints of |p_measured - p_truth|. Read it beside `MissingJoints`: absent joints do not count."""

    name = "joint_error_median"
    title = "joints px"
    column = "joints px (median)"
    place = 6
    reading = Reading(POSE, 5)
    damage = ("time shift", "another sample")

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when no joint is present."""
        distances = self.present(clips)
        return float(np.median(distances)) if distances.size else float("nan")


@dataclass(frozen=True)
class JointErrorMean(_JointDistances):
    """Mean over present joints of |p_measured - p_truth|; sensitive to the few joints that are far off."""

    name = "joint_error_mean"
    title = "joints px (mean)"
    place = 7

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when no joint is present."""
        distances = self.present(clips)
        return float(distances.mean()) if distances.size else float("nan")


@dataclass(frozen=True)
class MissingJoints(PuppetMetric):
    """Share of joints that are drawn in the truth but not found: sum(missing and drawn) / sum(drawn).

    Blur shows here first: a smeared disc has no saturated pixel left.

    Attributes:
        missing: `(N, T, J)` bool, as measured.
        truth: `(N, T, J, 2)` centres as drawn, NaN where not drawn.
    """

    missing: np.ndarray
    truth: np.ndarray
    name = "missing_joints"
    unit = "share"
    higher_is_better = False
    title = "missing joints"
    place = 4
    reading = Reading(AUDIO, 2)
    damage = ("more blur",)

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Of the joints as drawn."""
        return cls(measured.missing, truth.joints)

    def __len__(self) -> int:
        return len(self.missing)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when the truth shows no joint."""
        drawn = np.isfinite(self.truth[clips]).all(axis=-1)
        return float(self.missing[clips][drawn].mean()) if drawn.any() else float("nan")


@dataclass(frozen=True)
class MissingHands(MissingJoints):
    """`MissingJoints` of the wrists alone, which are all that a puppet has of hands. Elbows hang close to the shirt, hardly move and
    are nearly always found: averaged in, they halve what a viewer misses."""

    name = "missing_hands"
    title = "missing hands"
    reading = Reading(AUDIO, 3)

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Of the wrists as drawn."""
        return cls(measured.missing[:, :, WRISTS], truth.joints[:, :, WRISTS])


@dataclass(frozen=True)
class DiscMass(PuppetMetric):
    """Mean saturated area of a joint's disc over a full disc's area.

    Discs as drawn read about 0.75, because their edge pixels are mixed; compare with the ground truth's row. Less is
    washed out or smeared.

    Attributes:
        mass: `(N, T, J)`.
    """

    mass: np.ndarray
    name = "disc_mass"
    unit = "share"
    higher_is_better = True
    title = "disc mass"
    place = 5

    @classmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """Of the measured discs; the truth's own row is what to read it against."""
        return cls(measured.mass)

    def __len__(self) -> int:
        return len(self.mass)

    def __call__(self, clips: np.ndarray) -> float:
        """Mean over frames and joints."""
        return float(self.mass[clips].mean())
