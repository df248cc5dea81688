"""Confidence intervals: resample clips, not frames, because the frames of one clip are not independent.

Percentile bootstrap, Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Metric(Protocol):
    """A number over a set of clips. Called with clip indices, so that any metric can be resampled."""

    @property
    def name(self) -> str:
        """As in the score table."""
        ...

    @property
    def unit(self) -> str:
        """As in the score table."""
        ...

    def __len__(self) -> int:
        """Number of clips."""
        ...

    def __call__(self, clips: np.ndarray) -> float:
        """The metric over `clips`, `(M,)` int indices that may repeat. NaN where it is not defined."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A value over all clips with the bounds of its confidence interval, in the metric's unit."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class MetricScore:
    """One number as every score table holds it; its fields are the tables' columns.

    Attributes:
        metric, unit: what it is.
        value, ci_low, ci_high: NaN where it is not defined; the interval is a 95 % bootstrap over clips, NaN where there is none.
        clips: how many clips were scored.
        coverage: share of them on which the metric is defined (a face was seen, hands were there).
    """

    metric: str
    unit: str
    value: float
    ci_low: float
    ci_high: float
    clips: int
    coverage: float = 1.0


def estimate(metric: Metric, resamples: int, seed: int = 0, level: float = 0.95, centred: bool = False) -> Estimate:
    """Evaluate on all clips and bootstrap over clips.

    Args:
        metric: what to compute.
        resamples: how many times to draw as many clips as there are, with replacement.
        seed: of the draws.
        level: share of the bootstrap distribution inside the interval.
        centred: move the distribution so that its median is the value. For distances between sets, which every
            repeated clip makes larger: uncentred, the interval need not hold the value.
    """
    clips = len(metric)
    draws = np.random.default_rng(seed).integers(0, clips, (resamples, clips))
    values = np.array([metric(draw) for draw in draws])
    value = metric(np.arange(clips))
    values = values[np.isfinite(values)]
    if not values.size:
        return Estimate(value, float("nan"), float("nan"))
    if centred:
        values = values - np.median(values) + value
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def score_metric(metric: Metric, resamples: int, seed: int) -> MetricScore:
    """Score a metric of all its clips, with the interval of `estimate`."""
    number = estimate(metric, resamples, seed)
    return MetricScore(metric.name, metric.unit, number.value, number.ci_low, number.ci_high, len(metric))


def number_of_set(name: str, unit: str, value: float, clips: int) -> MetricScore:
    """A number of the whole set: it has no interval."""
    return MetricScore(name, unit, value, float("nan"), float("nan"), clips)
