"""What counts as a slowdown, on runs with the noise that interleaved ratios have."""

import json

import numpy as np
import pytest

from benchmarks.__main__ import POLICIES
from benchmarks.record import BrokenHistoryError, Policy, Run, append, judge, machine, read_history, this_run

NOISE = 0.02  # standard deviation of a ratio of interleaved minima, relative
POLICY = {"step": Policy()}


def runs(values, name="step", where="here"):
    return [Run("c", "2026-11-30T00:00:00+00:00", where, {name: float(value)}) for value in values]


def noisy(count: int, seed: int, level: float = 1.0) -> list[Run]:
    return runs(level * (1 + NOISE * np.random.default_rng(seed).standard_normal(count)))


def test_a_planted_slowdown_of_15_percent_is_caught_in_ten_of_ten_runs():
    assert all(judge(noisy(9, seed), noisy(1, 100 + seed, 1.15)[0], POLICY) for seed in range(10))


def test_twenty_unchanged_runs_raise_no_alarm():
    history = noisy(24, 7)
    assert not [found for at in range(4, 24) for found in judge(history[:at], history[at], POLICY)]


def test_one_odd_run_moves_nothing():
    history = runs([1.0, 1.0, 3.0, 1.0, 1.0])
    assert judge(history, runs([1.15])[0], POLICY) and not judge(history, runs([1.05])[0], POLICY)


def test_what_nobody_would_notice_is_no_slowdown():
    policy = {"step": Policy(absolute=0.5)}
    assert not judge(runs([1.0] * 5), runs([1.4])[0], policy)
    assert judge(runs([10.0] * 5), runs([14.0])[0], policy)


def test_rates_are_better_the_higher_and_a_faster_run_is_no_slowdown():
    policy = {"step": Policy(better="higher")}
    assert judge(runs([100.0] * 5), runs([85.0])[0], policy) and not judge(runs([100.0] * 5), runs([140.0])[0], policy)
    assert not judge(runs([1.0] * 5), runs([0.5])[0], POLICY)


@pytest.mark.parametrize(("count", "alarm"), [(512, False), (511, True), (513, True)])
def test_a_count_is_right_or_wrong_from_the_second_run_on(count, alarm):
    policy = {"found": Policy(better="equal")}
    assert bool(judge(runs([512], "found"), runs([count], "found")[0], policy)) == alarm
    assert not judge([], runs([count], "found")[0], policy)


def test_other_machines_and_too_few_runs_judge_nothing():
    assert not judge(runs([1.0] * 9, where="elsewhere"), runs([2.0])[0], POLICY)
    assert not judge(runs([1.0] * 2), runs([2.0])[0], POLICY) and judge(runs([1.0] * 3), runs([2.0])[0], POLICY)


def test_a_run_is_appended_and_read_back(tmp_path):
    path, first = tmp_path / "history.jsonl", this_run({"step": 1.0})
    for _ in range(2):
        append(first, path)
    assert read_history(path) == [first, first] and first.machine == machine() and read_history(tmp_path / "none") == []


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    append(this_run({"step": 1.0}), path)
    path.write_text(path.read_text() + json.dumps({"commit": "c"}) + "\n")
    with pytest.raises(BrokenHistoryError, match=r"history\.jsonl, line 2"):
        read_history(path)


def test_the_history_in_the_repository_is_one_and_its_measures_have_policies():
    assert all(set(run.values) <= set(POLICIES) for run in read_history())
