"""PSI and KS on distributions whose distance is known, and how often they cry wolf on equal ones."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from assets.retraining.column_drift import kolmogorov_smirnov, measure_drift, population_stability_index
from profiles.schema import RefreshConfig

CONFIG = RefreshConfig()


def test_psi_of_two_values_is_the_textbook_sum():
    before, after = np.repeat([0.0, 1.0], [500, 500]), np.repeat([0.0, 1.0], [200, 800])
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert population_stability_index(before, after) == (pytest.approx(expected), 2)
    assert population_stability_index(before, before)[0] == 0


def test_psi_of_a_shifted_normal_is_that_of_its_deciles():
    rng = np.random.default_rng(0)
    before, after = rng.normal(0, 1, 400_000), rng.normal(1, 1, 400_000)
    edges = norm.ppf(np.linspace(0, 1, 11))
    q = np.diff(norm.cdf(edges - 1))
    assert population_stability_index(before, after)[0] == pytest.approx(np.sum((q - 0.1) * np.log(q / 0.1)), rel=0.02)


def test_ks_of_a_shifted_normal_is_known_and_small_samples_agree_with_scipy():
    rng = np.random.default_rng(1)
    before, after = rng.normal(0, 1, 400_000), rng.normal(1, 1, 400_000)
    assert kolmogorov_smirnov(before, after) == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.005)
    few, many = rng.integers(0, 5, 40).astype(float), rng.integers(1, 6, 170).astype(float)  # with ties
    assert kolmogorov_smirnov(few, many) == pytest.approx(ks_2samp(few, many).statistic)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(0, 1, n),
        lambda rng, n: (rng.random(n) < 0.3).astype(float),
        lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.exponential(1, n)),
        lambda rng, n: np.zeros(n),
    ],
    ids=["normal", "bool", "with missing values", "constant"],
)
@pytest.mark.parametrize("new", [30, 300])
def test_equal_distributions_hardly_ever_count_as_drifted(draw, new):
    rng = np.random.default_rng(2)
    alarms = sum(measure_drift("c", draw(rng, 2000), draw(rng, new), CONFIG).drifted for _ in range(300))
    # Two tests at 1 % each: 6 of 300 expected at most; 15 is far beyond what chance gives that rate.
    assert alarms < 15


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.linspace(0, 1, 1000), np.linspace(0.4, 1.4, 60)),
        (np.ones(1000), np.full(60, 2.0)),
        (np.repeat([0.0, 1.0], [10, 990]), np.repeat([0.0, 1.0], [30, 30])),
        (np.linspace(0, 1, 1000), np.r_[np.linspace(0, 1, 30), np.full(30, np.nan)]),
        (np.full(1000, np.nan), np.linspace(0, 1, 60)),
    ],
    ids=["shifted", "another constant", "a bool that flips", "half missing", "no longer missing"],
)
def test_a_moved_column_is_seen_in_sixty_clips(before, after):
    found = measure_drift("c", before, after, CONFIG, columns=40)
    assert found.drifted and "c (PSI" in str(found)


def test_a_difference_too_small_to_matter_is_no_drift_however_certain():
    rng = np.random.default_rng(3)
    found = measure_drift("c", rng.normal(0, 1, 200_000), rng.normal(0.05, 1, 200_000), CONFIG)
    assert found.ks > found.ks_by_chance and not found.drifted
