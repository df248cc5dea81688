"""Whether a mouth follows its sound: the interval of own against another's."""

import numpy as np
import pytest
import torch

from benchmarks.people.following import difference
from benchmarks.people.sound_gap import mouth_error


def test_the_interval_is_of_the_difference_and_leaves_out_what_either_lacks():
    own, other = np.array([0.5, 0.6, np.nan, 0.7, 0.4]), np.array([0.1, 0.2, 0.3, 0.3, np.nan])
    mean, low, high = difference(own, other)
    assert mean == pytest.approx(0.4) and low == pytest.approx(0.4) and high == pytest.approx(0.4)
    rng = np.random.default_rng(1)
    mean, low, high = difference(rng.normal(0, 0.3, 64), rng.normal(0, 0.3, 64))
    assert low < 0 < high and low < mean < high


def test_the_error_at_the_mouth_is_that_of_its_cells():
    mouths = torch.zeros(2, 1, 3, 4, 4)
    mouths[0, 0, 1, 2, 1:3] = 1
    velocity, target = torch.ones(2, 5, 3, 4, 4), torch.zeros(2, 5, 3, 4, 4)
    velocity[0, :, 1, 2, 1] = 3
    error = mouth_error(velocity, target, mouths)
    assert error[0] == pytest.approx((9 + 1) / 2) and error[1].isnan(), "nowhere seen: no error to speak of"
