"""The Fréchet distance of Gaussians against closed forms."""

import numpy as np
import pytest

from evaluation.metrics import frechet_distance, frechet_distance_of_samples


def random_covariance(dimensions: int, seed: int, rank: int | None = None) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(dimensions, rank or 2 * dimensions))
    return factor @ factor.T / factor.shape[1]


def test_equal_gaussians_are_at_distance_zero():
    mu, sigma = np.arange(6.0), random_covariance(6, 0)
    assert frechet_distance(mu, sigma, mu, sigma) == pytest.approx(0.0, abs=1e-9)


def test_one_dimension_is_difference_of_means_and_of_deviations():
    assert frechet_distance([1.0], [[4.0]], [4.0], [[25.0]]) == pytest.approx(3**2 + (2 - 5) ** 2)


def test_diagonal_covariances_add_up_per_dimension():
    a, b = np.array([1.0, 4.0, 9.0]), np.array([16.0, 1.0, 9.0])
    expected = ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(np.zeros(3), np.diag(a), np.zeros(3), np.diag(b)) == pytest.approx(expected)


def test_a_shift_counts_squared_whatever_the_covariance():
    sigma = random_covariance(5, 1)
    assert frechet_distance(np.zeros(5), sigma, np.full(5, 2.0), sigma) == pytest.approx(20.0)


def test_scaling_a_gaussian_by_s():
    sigma = random_covariance(5, 2)
    assert frechet_distance(np.zeros(5), sigma, np.zeros(5), 9 * sigma) == pytest.approx(4 * np.trace(sigma))


def test_it_is_symmetric_and_invariant_under_rotation():
    a, b, mu = random_covariance(6, 3), random_covariance(6, 4), np.ones(6)
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))[0]
    distance = frechet_distance(np.zeros(6), a, mu, b)
    assert frechet_distance(mu, b, np.zeros(6), a) == pytest.approx(distance)
    turned = frechet_distance(np.zeros(6), rotation @ a @ rotation.T, rotation @ mu, rotation @ b @ rotation.T)
    assert turned == pytest.approx(distance)


def test_singular_covariances_are_safe():
    a = random_covariance(40, 6, rank=3)
    assert frechet_distance(np.zeros(40), a, np.zeros(40), a) == pytest.approx(0.0, abs=1e-6)
    zero = np.zeros((40, 40))
    assert frechet_distance(np.zeros(40), a, np.zeros(40), zero) == pytest.approx(np.trace(a))
    # Rank-one covariances of orthogonal directions share nothing: tr S1 + tr S2.
    x, y = np.zeros((4, 4)), np.zeros((4, 4))
    x[0, 0], y[1, 1] = 4.0, 9.0
    assert frechet_distance(np.zeros(4), x, np.zeros(4), y) == pytest.approx(13.0)


def test_samples_of_known_gaussians():
    rng = np.random.default_rng(7)
    first, second = rng.normal(0, 1, (200_000, 2)), rng.normal(1, 3, (200_000, 2))
    assert frechet_distance_of_samples(first, second) == pytest.approx(2 * (1 + 4), rel=0.02)
    assert frechet_distance_of_samples(first, first[::-1]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(2), np.eye(3), np.zeros(2), np.eye(2)), r"\(D, D\)"),
        ((np.zeros(2), np.eye(2) * np.nan, np.zeros(2), np.eye(2)), "finite"),
        ((np.zeros(2), -np.eye(2), np.zeros(2), np.eye(2)), "negative eigenvalue"),
        ((np.zeros(2), np.eye(2), np.zeros(2), -np.eye(2)), "negative eigenvalue"),
        ((np.zeros(2), np.eye(2), np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
        ((np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), np.zeros(2), np.eye(2)), "not symmetric"),
    ],
)
def test_what_is_no_gaussian_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*arguments)


def test_too_few_samples_are_refused():
    features = np.random.default_rng(0).normal(size=(8, 8))
    with pytest.raises(ValueError, match="more clips"):
        frechet_distance_of_samples(features, features)
