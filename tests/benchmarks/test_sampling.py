"""What the table of shift and steps says of clips whose answer is known."""

import numpy as np
import pytest

from benchmarks.evaluation.sampling import Setting, colours, distance, paired, share_of_deviation


def test_a_light_of_half_the_deviation_is_half_and_one_that_is_off_by_a_number_is_off_by_it():
    real = np.random.default_rng(0).normal(100, 20, (40, 3))
    half = real.mean(axis=0) + (real - real.mean(axis=0)) / 2
    every = np.arange(40)
    assert share_of_deviation(half, real)(every) == pytest.approx(0.5)
    assert share_of_deviation(real, real)(every[:7]) == 1.0
    assert distance(real + 3, real) == pytest.approx(np.full(40, 3.0))
    assert colours([np.full((2, 4, 4, 3), 7, np.uint8)]).tolist() == [[7.0, 7.0, 7.0]]


def test_differences_are_clip_by_clip_and_leave_out_what_either_has_not():
    clips = np.random.default_rng(1).normal(0, 100, 50)
    other = clips + 1.0
    other[3] = np.nan
    rows = paired({"a": {"m": clips}, "b": {"m": other}}, "a", 200, 0)
    (row,) = rows.to_dict("records")
    assert row["model"] == "b" and row["value"] == row["ci_low"] == row["ci_high"] == pytest.approx(1.0)
    assert Setting("euler", 3.0, 20).name == "euler-3-20"
