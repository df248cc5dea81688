"""Does a metric follow the truth: rank correlation with the true error, order under damage, floor clear of ceiling, coverage."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.metrics.facts import MetricFacts
from evaluation.metrics.registry import METRICS
from evaluation.trial.aspects import ASPECTS
from evaluation.trial.ladder import LADDER, NONE, PIXELS, RECONSTRUCTION
from evaluation.trial.record import DOES_NOT, FOLLOWS, PARTLY, TOO_FEW, Standing
from evaluation.trial.run import WHOLE, Trial

# Of rank correlation, order and coverage.
TO_FOLLOW, TO_FOLLOW_PARTLY = (0.7, 0.9, 0.9), (0.4, 0.7, 0.5)
ALIKE = 0.05  # of the range of the true errors: videos, and steps, that are nearer are in no order
FEWEST_CLIPS = 5  # that show what a metric is to follow; of fewer nothing is said
RESAMPLES = 500


@dataclass(frozen=True)
class Finding:
    """What became of one metric.

    Attributes:
        metric, aspect: its name, and what it is meant to follow.
        rank: Goodman and Kruskal's rank correlation with the true error over videos; 1 puts every pair of unequal error in the right order, 0 is chance.
        rank_of_clip: the same over pairs of one clip's videos.
        order: share of the pairs of steps, by their means, in the right order.
        ceiling, floor, worst: the undamaged videos' mean, that of the step with the greatest true error, and its name.
        clear: the floor lies outside the ceiling's 95 % bootstrap interval.
        coverage: share of the videos with a true error on which it is defined.
        reconstructed: the mean on videos that went through the autoencoder, whose true error nobody knows.
        disturbance, disturber: how far damage that leaves the aspect as it is moves it towards its floor, 1 all the way, and the damage that does most.
        videos: how many were read.
        verdict: `FOLLOWS`, `PARTLY`, `DOES_NOT` or `TOO_FEW`.
    """

    metric: str
    aspect: str
    rank: float
    rank_of_clip: float
    order: float
    ceiling: float
    floor: float
    worst: str
    clear: bool
    coverage: float
    reconstructed: float
    disturbance: float
    disturber: str
    videos: int
    verdict: str

    @property
    def standing(self) -> Standing:
        """What is kept of it."""
        return Standing(self.verdict, self.aspect, self.rank, self.coverage, self.disturbance, self.disturber)


def find(trial: Trial, families: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Finding]:
    """Judge every metric of a trial.

    Args:
        trial: of `try_metrics`.
        families: of each aspect; None is that of rendered people. A metric of another aspect is not judged.
    """
    chosen = {name: aspect.families for name, aspect in ASPECTS.items()} if families is None else families
    return {
        str(name): _judged(METRICS[str(name)], rows, trial.errors, chosen[METRICS[str(name)].aspect])
        for name, rows in trial.values.groupby("metric", sort=False)
        if METRICS[str(name)].aspect in chosen
    }


def badness(kind: type[MetricFacts], values: np.ndarray) -> np.ndarray:
    """`(N,)` that grow as it gets worse: away from the best value where that lies between the ends."""
    if kind.higher_is_better is None and kind.best is not None:
        return np.abs(values - kind.best)
    return -values if kind.higher_is_better or kind.higher_is_better is None else values


def rank_correlation(
    errors: np.ndarray, badness: np.ndarray, group: np.ndarray | None = None, alike: float = ALIKE
) -> float:
    """Goodman and Kruskal's gamma over pairs of unequal error; a tie of the metric counts as half right. NaN without such a pair.

    Args:
        errors, badness: `(N,)` finite, or infinite, numbers.
        alike: share of the errors' range by which a pair must differ to be in an order.
        group: `(N,)` labels; only pairs within a group count.
    """
    more = _truly_worse(errors, alike)
    if group is not None:
        more &= group[:, None] == group[None, :]
    pairs = int(more.sum())
    worse, better = (badness[:, None] > badness[None, :])[more].sum(), (badness[:, None] < badness[None, :])[more].sum()
    return float((int(worse) - int(better)) / pairs) if pairs else float("nan")


def _truly_worse(errors: np.ndarray, alike: float) -> np.ndarray:
    """`(N, N)` whether a row's error is greater than a column's by more than `alike` of their range."""
    least = alike * (errors.max() - errors.min()) if len(errors) else 0.0
    worse: np.ndarray = errors[:, None] - errors[None, :] > least
    return worse


def verdict(rank: float, order: float, clear: bool, coverage: float) -> str:
    """By the stated thresholds; what is not defined follows nothing."""
    if not clear:
        return DOES_NOT
    for name, (least_rank, least_order, least_coverage) in ((FOLLOWS, TO_FOLLOW), (PARTLY, TO_FOLLOW_PARTLY)):
        if rank >= least_rank and order >= least_order and coverage >= least_coverage:
            return name
    return DOES_NOT


def _judged(kind: type[MetricFacts], values: pd.DataFrame, errors: pd.DataFrame, families: tuple[str, ...]) -> Finding:
    mine = errors[errors["aspect"] == kind.aspect].drop(columns="aspect")
    if (values["clip"] == WHOLE).all():
        mine = mine.groupby("step", as_index=False)["error"].mean().assign(clip=WHOLE)
    rows = values.merge(mine, on=["step", "clip"]).assign(family=lambda t: t["step"].map(_FAMILY))
    rows = rows.dropna(subset=["error"]).assign(bad=lambda t: badness(kind, t["value"].to_numpy(float)))
    own, known = rows[rows["family"].isin(families)], rows.dropna(subset=["bad"])
    read = known[known["family"].isin(families)]
    errors_, bad, clips = (read[name].to_numpy() for name in ("error", "bad", "clip"))
    means = read.groupby("step")[["error", "bad", "value"]].mean()
    worst = "" if own.empty else str(own.groupby("step")["error"].mean().idxmax())
    ceiling = known[known["family"] == NONE]
    floor = float(means["value"].get(worst, float("nan")))
    clear = _clear(ceiling["bad"].to_numpy(float), float(means["bad"].get(worst, float("nan"))))
    rank, order = rank_correlation(errors_, bad), _order(means)
    coverage = len(read) / len(own) if len(own) else 0.0
    said = verdict(rank, order, clear, coverage)
    if WHOLE not in set(own["clip"]) and own["clip"].nunique() < FEWEST_CLIPS:
        said = TOO_FEW
    disturbance, disturber = _disturbed(known, ceiling["bad"].mean(), means["bad"].get(worst, float("nan")), families)
    return Finding(
        kind.name, kind.aspect, rank, rank_correlation(errors_, bad, clips), order, float(ceiling["value"].mean()), floor,
        worst, clear, coverage, float(known[known["family"] == RECONSTRUCTION]["value"].mean()), disturbance, disturber, len(read), said,
    )  # fmt: skip


_FAMILY = {step.name: step.family for step in LADDER}


def _order(means: pd.DataFrame) -> float:
    """Share of the pairs of steps that are in the right order."""
    errors, bad = means["error"].to_numpy(), means["bad"].to_numpy()
    more = _truly_worse(errors, ALIKE)
    return float((bad[:, None] > bad[None, :])[more].mean()) if more.any() else float("nan")


def _clear(ceiling: np.ndarray, floor: float) -> bool:
    if not len(ceiling) or np.isnan(floor):
        return False
    if len(ceiling) == 1 or not np.isfinite(ceiling).all():
        return bool(floor > ceiling.max())
    drawn = np.random.default_rng(0).integers(0, len(ceiling), (RESAMPLES, len(ceiling)))
    return bool(floor > np.quantile(ceiling[drawn].mean(axis=1), 0.975))


def _disturbed(known: pd.DataFrame, ceiling: float, floor: float, families: tuple[str, ...]) -> tuple[float, str]:
    """How far what harms the pixels alone moves it from ceiling to floor; what is no longer defined is no number."""
    others = known[known["family"].isin(set(PIXELS) - {RECONSTRUCTION} - set(families))]
    if others.empty or not np.isfinite(ceiling) or not np.isfinite(floor) or floor <= ceiling:
        return float("nan"), ""
    moved = (others.groupby("step")["bad"].mean() - ceiling) / (floor - ceiling)
    return float(moved.max()), str(moved.idxmax())
