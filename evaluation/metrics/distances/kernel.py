"""Squared maximum mean discrepancy with the cubic kernel of KID, kept as sums over pairs of clips so that clips can be resampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClipKernels:
    """Sums of k(x, y) = (x.y / D + 1)^3 over rows x of clip i and y of clip j, N clips.

    Attributes:
        real, generated, cross: `(N, N)`; `cross` has real clips in rows. Diagonals of the first two leave out x = y.
        real_rows, generated_rows: `(N,)` rows of each clip.
    """

    real: np.ndarray
    generated: np.ndarray
    cross: np.ndarray
    real_rows: np.ndarray
    generated_rows: np.ndarray

    @classmethod
    def of(cls, real: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> "ClipKernels":
        """From the features of each clip, `(n_i, D)` and `(m_i, D)`. Memory holds one clip's rows against all."""
        within = [_sums(side, side) - np.diag([_diagonal(rows) for rows in side]) for side in (real, generated)]
        rows = [np.array([len(x) for x in side]) for side in (real, generated)]
        return cls(within[0], within[1], _sums(real, generated), rows[0], rows[1])

    def __call__(self, weights: np.ndarray) -> float:
        """MMD^2 with clip i taken `weights[i]` times, `(N,)`. NaN with fewer than two rows on a side.

        A row never meets itself, nor the copies of itself that a repeated clip brings: k(x, x) is no evidence of anything.
        """
        w = np.asarray(weights, np.float64)
        real, generated = (
            _mean_of_pairs(sums, rows, w)
            for sums, rows in ((self.real, self.real_rows), (self.generated, self.generated_rows))
        )
        cross = w @ self.cross @ w / (w @ self.real_rows * (w @ self.generated_rows))
        return float(real + generated - 2 * cross)


def _mean_of_pairs(sums: np.ndarray, rows: np.ndarray, w: np.ndarray) -> float:
    """Within a clip pairs count w times, between clips w_i w_j times."""
    own, apart = np.diag(sums), sums - np.diag(np.diag(sums))
    pairs = w @ (rows * (rows - 1)) + (w @ rows) ** 2 - (w**2) @ (rows**2)
    return float((w @ apart @ w + w @ own) / pairs) if pairs > 0 else float("nan")


def _sums(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    every = np.concatenate([np.asarray(rows, np.float64) for rows in second])
    starts = np.cumsum([0, *(len(rows) for rows in second[:-1])])
    return np.stack(
        [np.add.reduceat(_kernel(np.asarray(rows, np.float64), every).sum(axis=0), starts) for rows in first]
    )


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _diagonal(rows: np.ndarray) -> float:
    rows = np.asarray(rows, np.float64)
    return float(((np.square(rows).sum(axis=1) / rows.shape[1] + 1.0) ** 3).sum())
