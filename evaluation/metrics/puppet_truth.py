"""Puppets, whose truth is known: what their pixels show, what was drawn, and what a metric of both is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.metrics.facts import MetricFacts
from puppets.measure import Measurement


@dataclass(frozen=True)
class Measured:
    """`puppets.Measurement` over N clips: opening `(N,T)`, joints `(N,T,4,2)`, mass and missing `(N,T,4)`, colours `(N,T,4,3)`."""

    opening: np.ndarray
    joints: np.ndarray
    mass: np.ndarray
    missing: np.ndarray
    colours: np.ndarray

    @classmethod
    def stacked(cls, clips: Sequence[Measurement]) -> Self:
        """Clips of one length beside one another."""
        return cls(**{name: np.stack([getattr(clip, name) for clip in clips]) for name in cls.__dataclass_fields__})

    def of(self, chosen: np.ndarray) -> "Measured":
        """Some clips: `(N,)` booleans, or indices."""
        return Measured(
            self.opening[chosen], self.joints[chosen], self.mass[chosen], self.missing[chosen], self.colours[chosen]
        )


@dataclass(frozen=True)
class PuppetTruth:
    """What is true of N clips: opening `(N,T)`, joints `(N,T,4,2)` pixels, colours `(N,4,3)` measured on the reference; of one clip
    without N."""

    opening: np.ndarray
    joints: np.ndarray
    colours: np.ndarray

    @classmethod
    def stacked(cls, clips: "Sequence[PuppetTruth]") -> Self:
        """Clips of one length beside one another."""
        return cls(**{name: np.stack([getattr(clip, name) for clip in clips]) for name in cls.__dataclass_fields__})

    def of(self, chosen: np.ndarray) -> "PuppetTruth":
        """Some clips: `(N,)` booleans, or indices."""
        return PuppetTruth(self.opening[chosen], self.joints[chosen], self.colours[chosen])


class PuppetMetric(MetricFacts, ABC):
    """A number over a set of puppet clips, measured against their truth. Called with clip indices `(M,)` that may repeat.

    Every one is a row of the score table for every generated video. One with a `reading` is measured on slices and clip by clip too,
    and decides over promotion where a criterion of the profile names it.
    """

    needs = ("puppet_truth",)

    @classmethod
    @abstractmethod
    def of_puppets(cls, measured: Measured, truth: PuppetTruth) -> Self:
        """The metric of these clips."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of clips."""

    @abstractmethod
    def __call__(self, clips: np.ndarray) -> float:
        """The metric over `clips`; NaN where it is not defined."""
