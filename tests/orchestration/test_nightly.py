"""Nights of the schedule: nothing new, a few new clips, many, drifted ones, a withdrawn one, other code."""

import dataclasses
import json
import shutil
from contextlib import ExitStack

import dagster as dg
import numpy as np
import pandas as pd
import pytest

import assets.core.dvc_stages
from assets.core.catalogue import FLOW
from assets.core.dvc_stages import ensure_repository
from assets.core.workspace import Workspace, open_workspace
from assets.dagster.asset_factory import begin_from
from assets.retraining.refresh import ask
from curation.scores.registry import columns_of
from curation.snapshot.held_out_people import is_held_out
from curation.snapshot.withdrawals import withdraw
from orchestration.dagster_location.schedules import nightly_training
from profiles import load_profile
from tests.orchestration.rounds import SHARD, put_raw_clips, put_round
from tracking.model_address import CHAMPION
from tracking.served_log import FILE, Served, ServedLog

DIGEST = "0d" * 32
# Within every predicate of the laptop profile.
CENTRES = {
    "motion": 0.5,
    "cut_score": 0.1,
    "overlay_text_strokes": 0.1,
    "person_share": 1.0,
    "mouth_visibility": 0.95,
    "mouth_audio_correlation": 0.9,
    "pose_visibility": 0.95,
}


def put_shard(workspace, shard, ids, seed, brightness=0.5):
    """A scored shard with features, all clips usable, 1.25 s each."""
    rng, kinds = np.random.default_rng(seed), columns_of(workspace.profile.curation.scores)
    table = {"clip_id": ids, "seconds": np.full(len(ids), 1.25)}
    for name, kind in kinds.items():
        values = CENTRES.get(name, 0.0) + 0.01 * rng.normal(size=len(ids)).clip(-3, 3)
        table[name] = {"bool": np.ones(len(ids), bool), "text": np.full(len(ids), "a person")}.get(kind, values)
    table |= {
        "mouth_audio_lag_frames": np.zeros(len(ids)),
        "brightness": brightness + 0.1 * rng.normal(size=len(ids)),
        "near_duplicate": False,
    }
    put_raw_clips(workspace, ids, shard)
    for asset in ("clip_scores", "condition_features"):
        workspace.data(asset, shard).mkdir(parents=True)
    pd.DataFrame(table).to_parquet(workspace.data("clip_scores", shard) / "scores.parquet")


def ids_of(prefix, count):
    return [f"{prefix}{n:014d}" for n in range(count)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A champion trained on 400 clips, to be copied."""
    found = Workspace(tmp_path_factory.mktemp("trained"), load_profile("laptop", []))
    ensure_repository(found)
    clips = ids_of("aa", 400)
    put_shard(found, SHARD, clips, seed=0)
    version = put_round(found, "one", DIGEST, clips)
    found.registry.set_alias("omnihuman-student", CHAMPION, version)
    return found.root


@pytest.fixture
def workspace(trained, tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_SET"):  # mlflow itself sets the first, for its children
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path / "copy"))
    shutil.copytree(trained, tmp_path / "copy")
    return open_workspace()


HEARD = []


def hear(alert):
    """A sink of alerts."""
    HEARD.append(alert)
    raise OSError("nobody at home")


def test_four_nights_in_a_row(workspace, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_ALERTS", f"{__name__}:hear")
    with dg.instance_for_test() as instance:

        def night():
            with dg.build_schedule_context(instance=instance) as context:
                return nightly_training(context)

        assert "text +0.0 %, audio +0.0 %, pose +0.0 % < 5 %" in night().skip_message
        put_shard(workspace, "s-000000000002", ids_of("bb", 5), seed=1)
        second = night().skip_message
        assert "text +1.2 %" in second and "fewer than 30 new clips" in second
        put_shard(workspace, "s-000000000003", ids_of("cc", 40), seed=2, brightness=0.9)
        requested = night()
        reason = requested.tags["omnihuman/refresh"]
        assert [(alert.kind, alert.title) for alert in HEARD] == [
            ("drift", "1 score columns of 45 new clips drifted from the champion's")
        ]
        assert "brightness (PSI" in HEARD[0].text
        assert (
            "text +11.2 %, audio +11.2 %, pose +11.2 %" in reason
            and "1 score columns of 45 new clips drifted: brightness" in reason
        )
        withdraw(
            workspace.tombstones,
            pd.read_parquet(workspace.data("raw_clips", SHARD) / "clips.parquet"),
            "aa00000000000007",
            "asked for",
        )
        assert "1 clips of the champion's snapshot are withdrawn" in night().tags["omnihuman/refresh"]
        observed = instance.fetch_observations(dg.AssetKey("training_snapshot"), limit=10).records
        decided = instance.fetch_materializations(dg.AssetKey("nightly_decision"), limit=10).records
        record = json.loads(open(requested.tags["omnihuman/refresh_record"]).read())
    assert [one.asset_materialization.metadata["refresh"].value for one in decided] == [1, 1, 0, 0]
    assert len(observed) == 4 and observed[-1].asset_observation.metadata["refresh"].value == 0
    assert record["refresh"] and record["facts"]["hours"]["text"] == pytest.approx(400 * 1.25 / 3600)


def test_equal_clips_below_the_bound_are_skipped_without_a_false_alarm(workspace):
    put_shard(workspace, "s-000000000002", ids_of("bb", 19), seed=1)
    bound = Workspace(workspace.root, load_profile("laptop", ["refresh.min_clips=10"]))
    decision = ask(bound)
    assert not decision.refresh and len(decision.facts.drift) > 10 and not decision.facts.changed


def put_served(workspace, brightness, count=60):
    rng, log = np.random.default_rng(9), ServedLog(workspace.var / FILE)
    for number, value in enumerate(brightness + 0.05 * rng.normal(size=count)):
        features = {"brightness": float(value), "loudness_lufs": None, "seconds": 1.25}
        log.add(Served(f"job-{number}", float(number), "m version 1", "completed", features=features))


def test_people_who_ask_with_darker_pictures_are_a_reason_once_there_are_clips_like_theirs(workspace):
    put_served(workspace, brightness=0.5)
    assert not any(one.column.drifted for one in ask(workspace).facts.served if one.column.column == "seconds")
    put_served(workspace, brightness=0.1)
    decision = ask(workspace)
    assert not decision.refresh and "take in clips like them" in str(decision)
    assert [one.column.column for one in decision.facts.served if one.column.drifted] == ["brightness"]
    put_shard(workspace, "s-000000000002", ids_of("bb", 18), seed=1, brightness=0.1)  # too few for any other reason
    decision = ask(workspace)
    assert decision.refresh and len(decision.reasons) == 1
    assert "in 1 columns of 60 served inputs: brightness (PSI" in decision.reasons[0]
    assert decision.reasons[0].endswith("today's clips are nearer to them")


def test_a_shard_without_features_does_not_count_yet(workspace):
    put_shard(workspace, "s-000000000002", ids_of("bb", 100), seed=1)
    workspace.data("condition_features", "s-000000000002").rmdir()
    assert not ask(workspace).refresh


def test_clips_of_held_out_people_are_no_growth_whoever_they_are(workspace):
    """They are in no snapshot: counted as new they would be new every night."""
    share = 0.05
    who = next(name for name in map(str, range(1000)) if is_held_out(name, share))
    put_shard(workspace, "s-000000000002", ids_of("cc", 40), seed=2, brightness=0.9)
    clips = workspace.data("raw_clips", "s-000000000002") / "clips.parquet"
    pd.read_parquet(clips).assign(identity=who).to_parquet(clips)
    holding = Workspace(workspace.root, load_profile("laptop", [f"evaluation.held_out_people={share}"]))
    counted, left_out = ask(workspace).facts, ask(holding).facts
    assert counted.new_clips == 40 and any(column.drifted for column in counted.drift)
    assert left_out.new_clips == 0 and not left_out.drift and set(left_out.new_hours.values()) == {0.0}
    assert left_out.changed == ("evaluation.held_out_people 0.0 -> 0.05",)


def test_silent_clips_that_show_a_pose_are_growth_of_pose_where_they_may_train_it(workspace):
    put_shard(workspace, "s-000000000002", ids_of("cc", 40), seed=2)
    scores = workspace.data("clip_scores", "s-000000000002") / "scores.parquet"
    pd.read_parquet(scores).assign(mouth_audio_correlation=0.0).to_parquet(scores)
    silent = Workspace(workspace.root, load_profile("laptop", ["curation.silent_pose=true"]))
    before, now = ask(workspace).facts, ask(silent).facts
    assert before.new_hours["audio"] == before.new_hours["pose"] == now.new_hours["audio"] == 0.0
    assert now.new_hours["pose"] == now.new_hours["text"] == pytest.approx(40 * 1.25 / 3600)
    assert before.usable != now.usable


def test_other_settings_and_other_code_than_the_champions_are_named(workspace, monkeypatch):
    other = Workspace(workspace.root, load_profile("laptop", ["stage_1.steps=81"]))
    assert ask(other).facts.changed == ("stage_1.steps 80 -> 81",)
    newer = tuple(dataclasses.replace(s, version="99") if s.name == "distilled_student" else s for s in FLOW)
    monkeypatch.setattr(assets.core.dvc_stages, "FLOW", newer)
    decision = ask(workspace)
    assert decision.refresh and decision.facts.changed == ("code version of distilled_student 2 -> 99",)


def test_what_was_trained_in_vain_is_not_trained_again_until_something_changes(workspace):
    """The gate refused last night's student: the champion still stands, and the same clips would give the same."""
    put_shard(workspace, "s-000000000002", ids_of("bb", 100), seed=1)
    with dg.instance_for_test() as instance, ExitStack() as stack:
        context = stack.enter_context(dg.build_schedule_context(instance=instance))
        asked = nightly_training(context)
        tags = asked.tags
        assert asked.run_config == begin_from("scratch") and tags["omnihuman/refresh_start"].startswith(
            "scratch: the registry does not say which teacher"
        )
        broken = instance.create_run_for_job(_nothing, tags=tags)
        assert "is not_started" in nightly_training(context).skip_message
        instance.report_run_failed(broken)
        assert nightly_training(context).tags["omnihuman/refresh_fingerprint"] == tags["omnihuman/refresh_fingerprint"]
        done = _nothing.execute_in_process(instance=instance, tags=tags)
        assert (
            f"run {done.run_id} of the same clips, code and settings is success"
            in nightly_training(context).skip_message
        )
        put_shard(workspace, "s-000000000003", ids_of("cc", 5), seed=2)
        assert isinstance(nightly_training(context), dg.RunRequest)


def test_a_night_goes_on_from_the_champion_and_only_after_that_in_vain_from_scratch(workspace):
    put_shard(workspace, "s-000000000002", ids_of("bb", 100), seed=1)
    workspace.registry.set_tags("omnihuman-student", 1, {"teacher_version": "1"})
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance=instance) as context:
        first = nightly_training(context)
        assert first.run_config == begin_from("champion")
        assert first.tags["omnihuman/refresh_start"] == "champion: its clips, code and settings still stand"
        refused = _nothing.execute_in_process(instance=instance, tags=first.tags)
        second = nightly_training(context)
        assert second.run_config == begin_from("scratch")
        assert f"gave no better one: run {refused.run_id}" in second.tags["omnihuman/refresh_start"]
        _nothing.execute_in_process(instance=instance, tags=second.tags)
        assert isinstance(nightly_training(context), dg.SkipReason)


@dg.op
def nothing():
    pass


@dg.job
def _nothing():
    nothing()


def test_without_a_champion_it_trains_and_without_shards_it_waits(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance=instance) as context:
        assert "ready to be trained on" in nightly_training(context).skip_message
        put_shard(open_workspace(), SHARD, ids_of("aa", 5), seed=0)
        asked = nightly_training(context)
    assert asked.tags["omnihuman/refresh"] == "refresh: there is no champion yet"
    assert not (tmp_path / "var" / "mlflow.db").exists()
