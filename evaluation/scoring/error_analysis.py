"""Why are the worst samples bad: which training clips lie nearest to them, and what of these clips goes with the error.

A proposal is made only where the data supports it: a Spearman correlation over the benchmark's samples that is significant after
Bonferroni's correction for everything that was looked at. It names a correlation, which is no proof of a cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

SIGNIFICANCE = 0.05
NEIGHBOURS = 5
ROWS_AT_ONCE = 50_000
DISTANCE = "distance to the nearest training clips"


@dataclass(frozen=True)
class TrainingClips:
    """M clips that the model was trained on.

    Attributes:
        names: M clip ids.
        features: `(M, D)`, of `latent_features`.
        scores: M rows of score columns, in the same order; NaN where a score has no meaning.
        of: how many clips there are of which these were looked at.
    """

    names: Sequence[str]
    features: np.ndarray
    scores: pd.DataFrame
    of: int


@dataclass(frozen=True)
class Proposal:
    """`kind` is "predicate" or "weight"; `change` says what to do, `evidence` from what it follows."""

    kind: str
    change: str
    evidence: str


@dataclass(frozen=True)
class ErrorAnalysis:
    """Of N samples: indices `(N, k)` and distances `(N, k)` of the nearest training clips, nearest first, and proposals.

    `looked_at` names what was compared with the error.
    """

    nearest: np.ndarray
    distances: np.ndarray
    looked_at: tuple[str, ...]
    proposals: tuple[Proposal, ...]


def latent_features(latents: np.ndarray) -> np.ndarray:
    """`(N, C, F, h, w)` latents to `(N, 8 C)`: mean and standard deviation over time, in the quarters of the picture.

    Who it is and where stands in the means, how it moves in the deviations.
    """
    rows, columns = latents.shape[3] // 2, latents.shape[4] // 2
    quarters = [
        latents[..., r, c]
        for r in (slice(None, rows), slice(rows, None))
        for c in (slice(None, columns), slice(columns, None))
    ]
    pooled = np.stack([quarter.mean(axis=(3, 4)) for quarter in quarters], axis=-1)
    return np.concatenate([pooled.mean(axis=2), pooled.std(axis=2)], axis=1).reshape(len(latents), -1)


def analyse_errors(
    badness: np.ndarray,
    features: np.ndarray,
    training: TrainingClips,
    thresholds: Mapping[str, Sequence[tuple[str, str, float]]],
) -> ErrorAnalysis:
    """Find the neighbours of every sample and what of them goes with `badness`.

    Args:
        badness: `(N,)` of the samples; larger is worse.
        features: `(N, D)` of the samples' true clips, of `latent_features`.
        training: what was trained on.
        thresholds: of the predicates: score column to (subset, comparison, number).
    """
    nearest, distances = _nearest(features, training.features)
    looked_at: dict[str, np.ndarray] = {DISTANCE: distances.mean(axis=1)}
    for column in training.scores.select_dtypes("number"):
        values = training.scores[column].to_numpy(float)[nearest]
        around = values.mean(axis=1)
        if np.isfinite(around).all() and np.ptp(around) > 0:
            looked_at[str(column)] = around
    correlations = {name: spearmanr(badness, values) for name, values in looked_at.items() if np.ptp(values) > 0}
    level = SIGNIFICANCE / max(1, len(correlations))
    related = {name: (float(r.statistic), float(r.pvalue)) for name, r in correlations.items() if r.pvalue < level}
    proposals = _proposals(related, looked_at, badness, nearest, training, thresholds)
    return ErrorAnalysis(nearest, distances, tuple(looked_at), tuple(proposals))


def _nearest(features: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and Euclidean distances of the `NEIGHBOURS` nearest, in units of each feature's spread over `others`."""
    spread = others.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    count = min(NEIGHBOURS, len(others))
    best, place = np.empty((len(features), 0)), np.empty((len(features), 0), int)
    for start in range(0, len(others), ROWS_AT_ONCE):
        part = cdist(features / scale, others[start : start + ROWS_AT_ONCE] / scale)
        best, place = (
            np.hstack([best, part]),
            np.hstack([place, np.tile(np.arange(start, start + part.shape[1]), (len(features), 1))]),
        )
        order = np.argsort(best, axis=1, kind="stable")[:, :count]
        best, place = np.take_along_axis(best, order, 1), np.take_along_axis(place, order, 1)
    return place, best


def _proposals(
    related: Mapping[str, tuple[float, float]],
    looked_at: Mapping[str, np.ndarray],
    badness: np.ndarray,
    nearest: np.ndarray,
    training: TrainingClips,
    thresholds: Mapping[str, Sequence[tuple[str, str, float]]],
) -> list[Proposal]:
    sparse = DISTANCE in related and related[DISTANCE][0] > 0
    worst = np.argsort(-badness, kind="stable")[: max(1, len(badness) // 4)]
    made = []
    for name, (rho, p) in sorted(related.items(), key=lambda item: item[1][1]):
        evidence = f"{name} around a sample against its badness: Spearman {rho:+.2f}, p = {p:.1g}, {len(badness)} samples, {len(looked_at)} things looked at"
        if name == DISTANCE:
            if sparse:
                made.append(Proposal("weight", _weigh_neighbours(nearest[worst], training), evidence))
            continue
        edge = float(np.median(training.scores[name].to_numpy(float)[nearest[worst]]))
        made.append(_of_column(name, rho, edge, sparse, evidence, training, thresholds.get(name, ())))
    return made


def _weigh_neighbours(nearest: np.ndarray, training: TrainingClips) -> str:
    clips = list(dict.fromkeys(training.names[i] for i in nearest[:, 0]))
    shown = ", ".join(clip[:8] for clip in clips[:6]) + (", ..." if len(clips) > 6 else "")
    return f"the corpus is thin around the worst samples: raise the weight of, or collect more clips like, {shown}"


def _of_column(
    name: str,
    rho: float,
    edge: float,
    sparse: bool,
    evidence: str,
    training: TrainingClips,
    limits: Sequence[tuple[str, str, float]],
) -> Proposal:
    """Where clips near the bad samples are plenty and a predicate already looks at the column: tighten it. Else weigh them up."""
    values = training.scores[name].to_numpy(float)
    keeps = ">" if rho < 0 else "<"
    tighter = [
        limit
        for limit in limits
        if limit[1].startswith(keeps) and (edge > limit[2] if keeps == ">" else edge < limit[2])
    ]
    if tighter and not sparse:
        subset, comparison, number = tighter[0]
        lost = int(np.sum(values < edge if keeps == ">" else values > edge))
        change = f"curation.{subset}: {name} {comparison} {edge:.4g} instead of {number:g}; it costs {lost} of {len(values)} training clips"
        return Proposal("predicate", change, evidence)
    beyond = float(np.mean(values <= edge if keeps == ">" else values >= edge))
    side = "<=" if keeps == ">" else ">="
    change = f"clips with {name} {side} {edge:.4g} ({beyond:.0%} of the training clips) lie nearest to the worst samples: raise their weight, or collect more"
    return Proposal("weight", change, evidence)
