"""Fréchet distance between Gaussians fitted to two sets of features.

Name every number made with it for its features: on Inception features it is FID, on I3D features FVD, on this project's
autoencoder latents it is a latent Fréchet distance, comparable with nothing outside this project.
"""

import numpy as np

from evaluation.metrics.errors import MetricError


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """d^2 = |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2).

    Dowson & Landau (1982); as used by Heusel et al. (2017), who also report the square. S1^1/2 S2 S1^1/2 has the
    eigenvalues of S1 S2 but is symmetric, so `eigh` gives a real root where `sqrtm` of a near-singular S1 S2 does not.

    Args:
        mu1, mu2: `(D,)` means.
        sigma1, sigma2: `(D, D)` covariances, symmetric and positive semi-definite.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or a matrix that is no covariance.
    """
    mu1, mu2 = np.atleast_1d(np.asarray(mu1, np.float64)), np.atleast_1d(np.asarray(mu2, np.float64))
    sigma1, sigma2 = np.atleast_2d(np.asarray(sigma1, np.float64)), np.atleast_2d(np.asarray(sigma2, np.float64))
    if mu1.ndim != 1 or mu1.shape != mu2.shape or sigma1.shape != sigma2.shape or sigma1.shape != (len(mu1), len(mu1)):
        raise ValueError(
            f"means must be (D,) and covariances (D, D), got {mu1.shape}, {sigma1.shape}, {mu2.shape}, {sigma2.shape}"
        )
    if not all(np.isfinite(part).all() for part in (mu1, sigma1, mu2, sigma2)):
        raise ValueError("means and covariances must be finite; look for NaN or infinity in the features")
    root = _symmetric_root(sigma1, "sigma1")
    _eigenvalues(_checked_symmetric(sigma2, "sigma2"), "sigma2")
    product = np.linalg.eigvalsh(root @ sigma2 @ root)
    cross = np.sqrt(np.clip(product, 0.0, None)).sum()
    distance = np.sum((mu1 - mu2) ** 2) + np.trace(sigma1) + np.trace(sigma2) - 2 * cross
    return float(max(distance, 0.0))  # rounding can leave -1e-15 for equal inputs


def frechet_distance_of_samples(first: np.ndarray, second: np.ndarray) -> float:
    """`frechet_distance` of the Gaussians fitted to two sets of features.

    Args:
        first, second: `(N, D)` and `(M, D)` features.

    Raises:
        ValueError: not more samples than features on either side. The covariance would be singular and the distance
            biased by the sample count; pool fewer features or generate more clips.
    """
    moments = []
    for features in (first, second):
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) <= features.shape[1]:
            raise MetricError(
                f"a Fréchet distance needs (N, D) features with N > D, got {features.shape}; "
                "use features of fewer dimensions or more clips"
            )
        moments += [features.mean(axis=0), np.cov(features, rowvar=False)]
    return frechet_distance(*moments)


def frechet_distance_of_features(
    first: np.ndarray, second: np.ndarray, counts: tuple[np.ndarray, np.ndarray] | None = None
) -> float:
    """The same distance for any number of samples, without forming a covariance.

    With A_i the centred features over sqrt(n_i - 1), S_i = A_i^T A_i and tr (S1^1/2 S2 S1^1/2)^1/2 = |A1 A2^T|_*, the sum of
    singular values of a matrix as small as the smaller of samples and features. Fewer samples than features give a number
    that is biased by the sample count: whoever reports it must say so.

    Args:
        first, second: `(N, D)` and `(M, D)` features, N and M at least 2.
        counts: `(N,)` and `(M,)`, how often each row is there, for a resample; once where there are none. A row that is there twice is
            one row times sqrt(2) in A, which has the same A^T A and is smaller.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    means, traces = [], []
    factors: list[np.ndarray] = []
    for side, features in enumerate((first, second)):
        features = np.asarray(features, np.float64)
        often = np.ones(len(features)) if counts is None else np.asarray(counts[side], np.float64)
        if features.ndim != 2 or often.sum() < 2 or features.shape[1] != np.shape(first)[-1]:
            raise MetricError(
                f"features must be (N, D) with N of 2 or more, got {np.shape(first)} and {np.shape(second)}"
            )
        if not np.isfinite(features).all():
            raise MetricError("features must be finite; look for NaN or infinity in the videos or the network")
        means.append(often @ features / often.sum())
        centred = np.sqrt(often / (often.sum() - 1))[:, None] * (features - means[-1])
        traces.append(np.square(centred).sum())
        tall = len(centred) > centred.shape[1]
        factors.append(np.asarray(np.linalg.qr(centred, mode="r")) if tall else centred)
    cross = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(max(np.square(means[0] - means[1]).sum() + traces[0] + traces[1] - 2 * cross, 0.0))


def _checked_symmetric(matrix: np.ndarray, name: str) -> np.ndarray:
    scale = max(float(np.abs(matrix).max()), 1e-300)
    if np.abs(matrix - matrix.T).max() > 1e-6 * scale:
        raise ValueError(f"{name} is not symmetric, so it is no covariance; compute it with np.cov(x, rowvar=False)")
    return (matrix + matrix.T) / 2


def _eigenvalues(matrix: np.ndarray, name: str) -> np.ndarray:
    """Eigenvalues with those that rounding made negative set to zero."""
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    if values.min() < -1e-6 * max(values.max(), 1e-300):
        raise ValueError(f"{name} has a negative eigenvalue ({values.min():.3g}), so it is no covariance")
    return np.clip(values, 0.0, None)


def _symmetric_root(matrix: np.ndarray, name: str) -> np.ndarray:
    _eigenvalues(matrix, name)
    values, vectors = np.linalg.eigh(_checked_symmetric(matrix, name))
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
