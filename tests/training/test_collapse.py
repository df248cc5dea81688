"""Rules that tell a collapse, and a run that collapses: it goes back, goes on otherwise, and gives up with its reason."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from profiles.schema import CollapseConfig
from tests.training.synthetic import finish, kill_at, losses, make_job, start, write_snapshot
from training.distillation.collapse import Collapsed, CollapseWatch

LIMITS = CollapseConfig(gap_limit=2.0, gap_updates=3, diversity_min=0.5, max_rollbacks=1)


def row(gap=0.5, **values):
    return {"discriminator_loss": 1.0, "logit_gap": gap, **values}


def test_a_gap_counts_only_when_it_stays():
    watch = CollapseWatch(LIMITS)
    assert [watch.observe(row(gap)) for gap in (3, 3, 1, 3, 3)] == [None] * 5
    assert not watch.healthy
    assert "3 updates" in watch.observe(row(3.0))


def test_a_generator_that_wins_is_no_collapse():
    watch = CollapseWatch(LIMITS)
    assert [watch.observe(row(-50.0)) for _ in range(9)] == [None] * 9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_named_at_once(value):
    assert "generator_loss" in CollapseWatch(LIMITS).observe(row(generator_loss=value))


def test_lost_diversity_is_a_collapse_and_a_low_following_is_none():
    watch = CollapseWatch(LIMITS)
    assert watch.observe(row(**{"diversity/seeds": 0.51, "following/audio": 0.0})) is None
    assert "diversity/seeds" in watch.observe(row(**{"diversity/seeds": 0.49}))


def test_one_roll_back_too_many_ends_the_run_and_tells_every_reason():
    watch = CollapseWatch(LIMITS)
    assert "back to update 4" in watch.note(7, 4, "first reason")
    again = CollapseWatch(LIMITS)
    again.load(json.loads(json.dumps(watch.state())))
    with pytest.raises(Collapsed, match="first reason.*second reason"):
        again.note(9, 8, "second reason")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collapse")
    write_snapshot(folder)
    finish(make_job(folder, "parent", "stage", "stage_1", 3))
    return folder


def adversarial(root: Path, name: str, steps: int, *overrides: str):
    parent = str(root / "parent")
    given = ["adversarial_videos.critic_warmup=0", *overrides]
    return make_job(
        root, name, "adversarial", "adversarial_videos", steps, given, parent=parent, diffusion_parent=parent
    )


@pytest.mark.end_to_end
def test_a_hostile_configuration_rolls_back_and_fails_with_its_reason_and_the_good_checkpoint_kept(root):
    job = adversarial(
        root, "hostile", 12, "adversarial_videos.generator.lr=1e18", "adversarial_videos.collapse.max_rollbacks=1"
    )
    process = start(job)
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "back to update 0" in output and "collapsed 2 times" in output
    assert output.count("5 steps in a row had a non-finite loss or gradient") >= 2
    assert not Path(job.output).exists()
    latest = json.loads((Path(job.work) / "checkpoints" / "latest.json").read_text())
    assert latest["step"] == 0 and all((Path(job.work) / "checkpoints" / name).is_file() for name in latest["files"])


@pytest.mark.end_to_end
def test_after_a_roll_back_the_run_goes_on_with_other_samples_and_a_kill_changes_nothing(root):
    free = adversarial(root, "free", 12)
    finish(free)
    curve = losses(free)
    # Just below the largest gap: the first attempt meets it at a known update, which other samples need not.
    worst = int(curve["logit_gap"].iloc[3:].idxmax())
    limits = [
        f"adversarial_videos.collapse.gap_limit={curve['logit_gap'][worst] - 1e-6}",
        "adversarial_videos.collapse.gap_updates=1",
        "adversarial_videos.collapse.max_rollbacks=20",
    ]
    assert curve["logit_gap"][worst] > 0
    whole, broken = adversarial(root, "whole", 12, *limits), adversarial(root, "broken", 12, *limits)
    finish(whole)
    record = json.loads((Path(whole.output) / "record.json").read_text())
    assert record["rollbacks"][0]["step"] <= worst + 1  # after that update
    kept = losses(whole)
    assert kept["step"].tolist() == list(range(12))
    after = kept["step"] >= record["rollbacks"][-1]["back_to"]
    assert (kept["rollbacks"][after] == len(record["rollbacks"])).all()
    assert not (kept["logit_gap"][after] == curve["logit_gap"][after]).any()
    kill_at(broken, 4)
    finish(broken)
    pd.testing.assert_frame_equal(kept, losses(broken), check_exact=True)
