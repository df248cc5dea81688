"""The puppets' known truth for videos that come one by one: the same formulas as the benchmark's, fed clip by clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.colour import ColourError
from evaluation.metrics.joints import JointErrorMedian, MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.streaming import StreamingMetric


@dataclass(frozen=True)
class PuppetTruth:
    """What is true of one clip: opening `(T,)`, joints `(T, 4, 2)` pixels, colours `(4, 3)` measured on the reference."""

    opening: np.ndarray
    joints: np.ndarray
    colours: np.ndarray


class _OfPuppets(StreamingMetric):
    """Records are pairs (measured, true)."""

    def over(self, records: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        """Over all frames of these clips."""
        metric = self._metric(*(np.stack(side) for side in zip(*records, strict=True)))
        return metric(np.arange(len(records)))

    def _metric(self, measured: np.ndarray, truth: np.ndarray) -> Any:
        raise NotImplementedError


class PuppetMouthCorrelation(_OfPuppets):
    """`MouthCorrelation`."""

    name, unit, higher_is_better = "mouth_correlation", "r", True

    def update(self, clip: str, measured: Any, truth: PuppetTruth) -> None:
        """With `puppets.measure` of the clip."""
        self._add(clip, (measured.opening, truth.opening))

    def _metric(self, measured: np.ndarray, truth: np.ndarray) -> Any:
        return MouthCorrelation(measured, truth)


class PuppetMissingJoints(_OfPuppets):
    """`MissingJoints`."""

    name, unit, higher_is_better = "missing_joints", "share", False

    def update(self, clip: str, measured: Any, truth: PuppetTruth) -> None:
        """With `puppets.measure` of the clip."""
        self._add(clip, (measured.missing, truth.joints))

    def _metric(self, measured: np.ndarray, truth: np.ndarray) -> Any:
        return MissingJoints(measured, truth)


class PuppetJointError(_OfPuppets):
    """`JointErrorMedian`."""

    name, unit, higher_is_better = "joint_error_median", "px", False

    def update(self, clip: str, measured: Any, truth: PuppetTruth) -> None:
        """With `puppets.measure` of the clip."""
        self._add(clip, (measured.joints, truth.joints))

    def _metric(self, measured: np.ndarray, truth: np.ndarray) -> Any:
        return JointErrorMedian(measured, truth)


class PuppetColourError(_OfPuppets):
    """`ColourError`."""

    name, unit, higher_is_better = "colour_error", "RGB 0-1", False

    def update(self, clip: str, measured: Any, truth: PuppetTruth) -> None:
        """With `puppets.measure` of the clip."""
        self._add(clip, (measured.colours, truth.colours))

    def _metric(self, measured: np.ndarray, truth: np.ndarray) -> Any:
        return ColourError(measured, truth)


PUPPET_METRICS = (PuppetMouthCorrelation, PuppetMissingJoints, PuppetJointError, PuppetColourError)
