"""The rule of the refresh decision, and its record."""

import json
from dataclasses import replace

import pytest

from assets.retraining.column_drift import ColumnDrift
from assets.retraining.refresh_decision import RefreshFacts, decide_refresh, record_decision
from assets.retraining.served_drift import ServedDrift
from profiles.schema import ContinuationConfig, RefreshConfig

CALM = RefreshFacts(
    champion=3, snapshot="d" * 64, hours={"text": 100.0, "audio": 50.0, "pose": 25.0},
    new_hours={"text": 1.2, "audio": 0.0, "pose": 0.1}, new_clips=40,
    drift=(ColumnDrift("motion", 0.05, 0.1, 0.02, 0.1, False),),
)  # fmt: skip


def test_too_little_is_skipped_and_says_how_little():
    decision = decide_refresh(CALM, RefreshConfig())
    assert not decision.refresh
    assert str(decision) == (
        "skipped: text +1.2 %, audio +0.0 %, pose +0.4 % < 5 %; no drift in 1 columns; same code and settings"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"champion": None}, "there is no champion yet"),
        ({"snapshot": None}, "nowhere to be found"),
        ({"new_hours": {"text": 1.2, "pose": 1.25}}, "new usable hours pose +5.0 %"),
        ({"hours": {"text": 100.0}, "new_hours": {"pose": 0.1}}, "new usable hours pose +inf %"),
        ({"lost_clips": 2}, "2 clips of the champion's snapshot are withdrawn or gone"),
        (
            {"drift": (ColumnDrift("motion", 0.9, 0.1, 0.4, 0.1, True),)},
            "1 score columns of 40 new clips drifted: motion (PSI 0.90, KS 0.40)",
        ),
        (
            {"changed": ("code version of clip_scores a -> b",)},
            "made by other code or settings: code version of clip_scores a -> b",
        ),
    ],
)
def test_any_one_reason_is_enough_and_is_named(change, reason):
    decision = decide_refresh(replace(CALM, **change), RefreshConfig())
    assert decision.refresh and len(decision.reasons) == 1 and reason in decision.reasons[0]


def served(psi_today, drifted=True, column="brightness"):
    return ServedDrift(ColumnDrift(column, 0.9, 0.1, 0.4, 0.1, drifted), 200, psi_today)


def test_what_people_ask_for_is_a_reason_where_todays_clips_are_nearer_to_it():
    said = "what is asked of the champion drifted from its clips in 1 columns of 200 served inputs: brightness (PSI 0.90, KS 0.40)"
    decision = decide_refresh(replace(CALM, served=(served(0.3), served(0.3, False, "noise"))), RefreshConfig())
    assert decision.refresh and decision.reasons == (f"{said}, and today's clips are nearer to them",)
    for facts in (replace(CALM, served=(served(0.9),)), replace(CALM, served=(served(0.3),), new_clips=0)):
        decision = decide_refresh(facts, RefreshConfig())
        assert not decision.refresh and f"{said}, and no clips of today are nearer" in str(decision)
    assert replace(CALM, served=(served(0.3),)).fingerprint == CALM.fingerprint, "a training in vain is not tried again"


KNOWN = replace(CALM, same_settings=True, teacher_known=True, new_hours={"text": 20.0})


@pytest.mark.parametrize(
    ("change", "config", "start", "reason"),
    [
        ({}, ContinuationConfig(steps=5), "champion", "its clips, code and settings still stand"),
        ({}, None, "scratch", "no section `continuation`"),
        ({}, ContinuationConfig(steps=5, growth_max=0.1), "scratch", "text +20.0 % are more than 0.1"),
        ({"champion": None}, ContinuationConfig(steps=5), "scratch", "no champion whose snapshot is known"),
        ({"teacher_known": False}, ContinuationConfig(steps=5), "scratch", "which teacher"),
        ({"lost_clips": 1}, ContinuationConfig(steps=5), "scratch", "withdrawn or gone"),
        ({"same_settings": False, "changed": ("x",)}, ContinuationConfig(steps=5), "scratch", "other code or settings"),
        ({"hours": {}, "new_hours": {"pose": 1.0}}, ContinuationConfig(steps=5), "scratch", "pose +inf %"),
    ],
)
def test_a_training_goes_on_from_the_champion_unless_one_reason_is_against_it(change, config, start, reason):
    decision = decide_refresh(replace(KNOWN, **change), RefreshConfig(), config)
    assert (
        decision.refresh
        and decision.start == start
        and reason in decision.start_reason
        and ";" not in decision.start_reason
    )


def test_the_bound_is_the_profiles():
    assert decide_refresh(CALM, RefreshConfig(growth_min=0.01)).refresh


def test_every_decision_leaves_a_record(tmp_path):
    first = record_decision(decide_refresh(CALM, RefreshConfig()), tmp_path / "decisions")
    second = record_decision(decide_refresh(replace(CALM, champion=None), RefreshConfig()), tmp_path / "decisions")
    assert sorted(tmp_path.glob("decisions/*")) == [first, second]
    record = json.loads(first.read_text())
    assert record["refresh"] is False and record["facts"]["new_hours"]["text"] == 1.2 and record["when"]


def test_without_a_champion_nothing_is_trained_again_that_the_gate_refused():
    """It would end in the same student, which the gate would refuse again."""
    decision = decide_refresh(RefreshFacts(None, standing=True), RefreshConfig())
    assert not decision.refresh and "`omnihuman versions` says why" in str(decision)
    assert decide_refresh(RefreshFacts(None), RefreshConfig()).refresh
