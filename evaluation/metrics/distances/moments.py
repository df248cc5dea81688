"""Mean and covariance of a set that comes in parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Of n vectors of D numbers.

    Attributes:
        count: n.
        mean: `(D,)`.
        scatter: `(D, D)` sum of (x - mean)(x - mean)^T.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Moments":
        """Of `(n, D)` vectors, in double precision."""
        vectors = np.asarray(vectors, np.float64)
        mean = vectors.mean(axis=0)
        return cls(len(vectors), mean, (vectors - mean).T @ (vectors - mean))

    @classmethod
    def joined(cls, parts: Sequence["Moments"]) -> "Moments":
        """Of all parts together (Chan, Golub and LeVeque 1979, equation 2.1)."""
        return reduce(_joined, parts)

    @property
    def covariance(self) -> np.ndarray:
        """`(D, D)`, over n - 1."""
        return self.scatter / (self.count - 1)


def _joined(first: Moments, second: Moments) -> Moments:
    count, apart = first.count + second.count, second.mean - first.mean
    mean = first.mean + apart * (second.count / count)
    between = np.outer(apart, apart) * (first.count * second.count / count)
    return Moments(count, mean, first.scatter + second.scatter + between)
