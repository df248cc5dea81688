"""Whether a mouth follows its sound: the interval of own against another's."""

import numpy as np
import pytest

from benchmarks.people.following import difference


def test_the_interval_is_of_the_difference_and_leaves_out_what_either_lacks():
    own, other = np.array([0.5, 0.6, np.nan, 0.7, 0.4]), np.array([0.1, 0.2, 0.3, 0.3, np.nan])
    mean, low, high = difference(own, other)
    assert mean == pytest.approx(0.4) and low == pytest.approx(0.4) and high == pytest.approx(0.4)
    rng = np.random.default_rng(1)
    mean, low, high = difference(rng.normal(0, 0.3, 64), rng.normal(0, 0.3, 64))
    assert low < 0 < high and low < mean < high
