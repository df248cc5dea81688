"""Has a score column moved? Population stability index and Kolmogorov-Smirnov distance, each with what chance alone gives."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from profiles.schema import RefreshConfig

BINS = 10
EMPTY = 0.5  # clips that an empty bin counts as, so that its logarithm exists


@dataclass(frozen=True)
class ColumnDrift:
    """One column's distances; `*_by_chance` is what two samples of these sizes from one distribution rarely exceed."""

    column: str
    psi: float
    psi_by_chance: float
    ks: float
    ks_by_chance: float
    drifted: bool

    def __str__(self) -> str:
        return f"{self.column} (PSI {self.psi:.2f}, KS {self.ks:.2f})"


def measure_drift(
    column: str, before: np.ndarray, after: np.ndarray, config: RefreshConfig, columns: int = 1
) -> ColumnDrift:
    """Compare `(n,)` and `(m,)` values of a column; NaN is a value of its own, because a score that goes missing is drift too.

    A column has drifted when PSI or KS is above the profile's bound and above what chance gives.

    Args:
        column: its name.
        before: of the clips that the champion was trained on.
        after: of the new clips.
        config: bounds and significance.
        columns: how many are tested at once; the significance is divided by it (Bonferroni).
    """
    significance = config.significance / columns
    psi, bins = population_stability_index(before, after)
    psi_chance = (1 / len(before) + 1 / len(after)) * float(chdtri(max(bins - 1, 1), significance))
    ks = kolmogorov_smirnov(before, after)
    ks_chance = math.sqrt(-math.log(significance / 2) / 2 * (1 / len(before) + 1 / len(after)))
    drifted = psi > max(config.psi_max, psi_chance) or ks > max(config.ks_max, ks_chance)
    return ColumnDrift(column, psi, psi_chance, ks, ks_chance, drifted)


def population_stability_index(before: np.ndarray, after: np.ndarray) -> tuple[float, int]:
    """sum (q - p) ln(q / p) over deciles of `before`, and the number of bins that hold anything.

    Equal distributions give (1/n + 1/m) times a chi-squared with bins - 1 degrees of freedom (Yurdakul 2018, "Statistical
    properties of population stability index"). A value at which deciles coincide is a bin of its own, so a column of few
    values, a bool too, is compared value by value; NaN is a bin.
    """
    known = before[~np.isnan(before)]
    edges = (
        np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")) if len(known) else np.empty(0)
    )
    points = np.array([edge for edge in edges if np.mean(known == edge) > 0.5 / BINS])
    counts = np.stack([_histogram(values, edges, points) for values in (before, after)]).astype(float)
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = np.maximum(counts, EMPTY) / np.array([[len(before)], [len(after)]])
    p, q = shares
    return float(np.sum((q - p) * np.log(q / p))), counts.shape[1]


def _histogram(values: np.ndarray, edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Counts: missing, at each of `points`, and between `edges` (lower end inside) elsewhere."""
    missing = np.isnan(values)
    rest = values[~missing]
    at = np.array([np.sum(rest == point) for point in points], dtype=int)
    between = np.bincount(np.searchsorted(edges, rest[~np.isin(rest, points)], side="right"), minlength=len(edges) + 1)
    return np.concatenate([[missing.sum()], at, between])


def kolmogorov_smirnov(before: np.ndarray, after: np.ndarray) -> float:
    """The largest difference of the two cumulative distributions, NaN counted as below everything."""
    first, second = (np.sort(np.where(np.isnan(values), -np.inf, values)) for values in (before, after))
    values = np.concatenate([first, second])
    shares = [np.searchsorted(sorted_, values, side="right") / len(sorted_) for sorted_ in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())
