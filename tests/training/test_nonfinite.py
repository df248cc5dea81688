"""A NaN in the data of any kind of training: its step is skipped and told of, and many in a row end the run."""

import json
import sys
from pathlib import Path

import pytest

from tests import forked
from tests.training.nonfinite_cases import BAD, LIMIT, SECTIONS, STEPS
from training.run.launch import launch_environment

pytestmark = pytest.mark.end_to_end
ADVERSARIAL = [section for section, kind in SECTIONS.items() if kind == "adversarial"]
OTHERS = [section for section in SECTIONS if section not in ADVERSARIAL]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Every case in one process: starting it costs more than the steps."""
    folder = tmp_path_factory.mktemp("nonfinite")
    done = forked.run(
        [sys.executable, "-m", "tests.training.nonfinite_worker", str(folder)],
        cwd=Path(__file__).parents[2],
        env=launch_environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("section", SECTIONS)
def test_the_steps_of_a_sample_that_is_nan_are_skipped_counted_and_named_and_the_product_is_finite(report, section):
    bad = report[section]["bad"]
    assert bad["expected"], "the sample is in none of the steps"
    assert bad["skipped_steps"] == len(bad["expected"])
    assert bad["curve"] == [step for step in range(STEPS) if step not in bad["expected"]]
    assert [step for step, _, _ in bad["events"]] == bad["expected"]
    assert all(f"c{BAD:03}" in clips and len(clips) == 4 for _, _, clips in bad["events"])
    assert bad["finite"]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_step_that_is_not_finite_moves_no_weight_no_moment_and_no_average(report, section):
    case = report[section]["nan"]
    assert {name: case[name] for name in ("skipped", "updates", "unchanged")} == {
        "skipped": 1,
        "updates": 0,
        "unchanged": True,
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_a_run_of_which_no_step_was_finite_writes_no_product_however_short_it_is(report, section):
    assert report[section]["nan"]["ended"].startswith("NonFiniteLoss: none of the 1 steps was finite; the last good")


@pytest.mark.parametrize("section", OTHERS)
def test_steps_in_a_row_end_the_run_and_the_last_good_checkpoint_stays(report, section):
    case = report[section]["going_bad"]
    assert case["ended"].startswith(
        f"NonFiniteLoss: {LIMIT} steps in a row had a non-finite loss or gradient, the last at"
    )
    assert {name: case[name] for name in ("product", "latest", "kept")} == {"product": False, "latest": 1, "kept": True}


@pytest.mark.parametrize("section", ADVERSARIAL)
def test_adversaries_go_back_as_often_as_they_may_and_then_end_with_the_reason(report, section):
    case = report[section]["going_bad"]
    assert case["ended"].startswith("Collapsed: collapsed 3 times, 2 roll-backs are allowed")
    assert case["ended"].count(f"{LIMIT} steps in a row had a non-finite loss or gradient") == 3
    assert "of the discriminator with clips" in case["ended"]
    assert not case["product"] and case["kept"]
    bare = report[section]["no_roll_backs"]
    assert bare["ended"].startswith("NonFiniteLoss") and not bare["product"] and bare["latest"] == 1 and bare["kept"]
