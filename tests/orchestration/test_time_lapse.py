"""Four days: the first shard, nothing new, a drifted shard, people who ask for what clips hardly show; then a withdrawn clip. Which steps ran, and why."""

import json
import os
import time

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.core.workspace import open_workspace
from media import encode_clip, write_atomically
from orchestration.dagster_location.schedules import nightly_training
from orchestration.definitions import defs
from orchestration.past.withdrawing import withdraw_clips
from puppets import render
from tests.orchestration.ticks import PER_SHARD, Automation, drop
from tracking.model_address import CHAMPION
from tracking.served_log import FILE, Served, ServedLog

pytestmark = pytest.mark.end_to_end
STAGES = ("stage_1_checkpoint", "stage_2_checkpoint", "stage_3_checkpoint")
STUDENTS = ("consistency_student", "adversarial_image_student", "distilled_student")
AFTER = (
    "benchmark_sets",
    "generated_videos",
    "benchmark_scores",
    "baseline_comparison",
    "registered_model",
    "promoted_champion",
)
SIZES = (
    "stage_1.steps=2 stage_2.steps=2 stage_3.steps=3 continuation.steps=2 consistency.steps=2 adversarial_images.steps=1 "
    "adversarial_images.critic_warmup=1 adversarial_videos.steps=1 adversarial_videos.critic_warmup=1 stage_1.batch_size=4 stage_2.batch_size=4 "
    "stage_3.batch_size=4 consistency.batch_size=4 adversarial_images.batch_size=4 adversarial_videos.batch_size=4 stage_3.watch.videos=0 "
    "transformer.num_layers=3 evaluation.clips=2 evaluation.batch_size=2 evaluation.teacher_steps=1 evaluation.bootstrap=10 "
    # Two steps teach nothing: the gate of this test lets everything with numbers through.
    "gate.criteria.mouth_correlation.min=-1 gate.criteria.missing_joints.max=1 gate.criteria.missing_hands.max=1 "
    "gate.criteria.colour_error.max=1 gate.criteria.joint_error_median.max=1000 gate.headline=null "
    "gate.champion_margin=1000 gate.slice_slack=1000 "
    # Nine new clips beside fourteen: too few to be worth it by their hours, enough to be judged.
    "refresh.growth_min=0.7 refresh.min_clips=8 continuation.growth_max=1"
)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_INBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNIHUMAN_REMOTE", "none")
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.setenv("OMNIHUMAN_SET", SIZES)
    found = open_workspace()
    found.inbox.mkdir()
    return found


class Days:
    """The daemon's part of a day: new clips as they come, the schedule at night, and the run that it asks for."""

    def __init__(self, workspace, instance):
        self.workspace, self.instance, self.curation = workspace, instance, Automation(instance)

    def day(self):
        """New shards, and which of their assets ran."""
        self.curation.steps.clear()
        shards = self.curation.tick_sensor()
        self.curation.to_rest()
        return shards, sorted(self.curation.steps)

    def night(self):
        with dg.build_schedule_context(instance=self.instance) as context:
            return nightly_training(context)

    def train(self, request, assets=None):
        """Execute what a night asked for, or its first assets; returns the assets that were made."""
        selection = None if assets is None else [dg.AssetKey(name) for name in assets]
        done = defs.resolve_job_def("train_and_promote").execute_in_process(
            instance=self.instance, run_config=request.run_config, tags=request.tags, asset_selection=selection
        )
        return {event.step_key for event in done.get_step_success_events()}

    def record(self, asset):
        return json.loads((self.workspace.data(asset) / "record.json").read_text())

    def champion(self):
        return self.workspace.registry.at_alias("omnihuman-student", CHAMPION)


def scores_of(workspace, shard):
    return pd.read_parquet(workspace.data("clip_scores", shard) / "scores.parquet")


def drop_dark(workspace, seeds):
    """Clips at half the brightness of all earlier ones."""
    for seed in seeds:
        made, path = render(seed, "clean", 25), workspace.inbox / f"dark{seed}.mp4"
        write_atomically(path.with_name(path.name + ".json"), made.sidecar())
        write_atomically(path, encode_clip((np.asarray(made.frames) // 2).astype(np.uint8), made.fps, made.audio))
        for file in workspace.inbox.glob(f"{path.name}*"):
            os.utime(file, (1e9, 1e9))


def ask_for(workspace, clips, times):
    """As many rows in the log of what was served as a server would write whose users send what these clips show."""
    columns = ["brightness", "seconds"]
    values = clips[columns].astype(float).to_dict("records")
    log = ServedLog(workspace.var / FILE)
    for number in range(times):
        log.add(Served(f"job-{number}", time.time(), "m", "completed", features=values[number % len(values)]))
    return log


def decision(request):
    return json.loads(open(request.tags["omnihuman/refresh_record"]).read())


@pytest.mark.timeout(3600)
def test_four_days_and_a_withdrawal(workspace):
    with dg.instance_for_test() as instance:
        days = Days(workspace, instance)
        days.curation.tick_conditions()

        # Day 1: the first shard. There is no champion, so all is trained from scratch.
        drop(workspace, range(700_000, 700_014))
        first, ran = days.day()
        assert len(first) == 1 and ran == sorted((name, first[0]) for name in PER_SHARD)
        request = days.night()
        assert (
            request.tags["omnihuman/refresh"] == "refresh: there is no champion yet"
            and decision(request)["start"] == "scratch"
        )
        assert days.train(request) == {"training_snapshot", *STAGES, *STUDENTS, *AFTER}
        assert [days.record(stage)["steps"] for stage in STAGES] == [2, 2, 3]
        assert days.champion().version == 1
        old = json.loads((workspace.data("training_snapshot") / "snapshot.json").read_text())["digest"]

        # Day 2: nothing new, but for a file under another name.
        clip = next(workspace.inbox.glob("*700003*.mp4"))
        clip.rename(clip.with_name("renamed.mp4"))
        assert days.day() == ([], [])
        skipped = days.night()
        assert isinstance(skipped, dg.SkipReason) and skipped.skip_message.startswith(
            "skipped: text +0.0 %, audio +0.0 %, pose +0.0 % < 70 %"
        )
        assert days.champion().version == 1

        # Day 3: a drifted shard. Its assets alone run, and the champion's teacher is trained on.
        drop_dark(workspace, range(710_000, 710_009))
        second, ran = days.day()
        assert len(second) == 1 and ran == sorted((name, second[0]) for name in PER_SHARD)
        request = days.night()
        found = decision(request)
        assert len(found["reasons"]) == 1 and "new clips drifted" in found["reasons"][0]
        assert "brightness" in {column["column"] for column in found["facts"]["drift"] if column["drifted"]}
        assert (found["start"], found["start_reason"]) == ("champion", "its clips, code and settings still stand")
        assert days.train(request) == {"training_snapshot", *STAGES, *STUDENTS, *AFTER}
        stages = [days.record(stage) for stage in STAGES]
        assert [(one.get("kind"), one["steps"]) for one in stages] == [
            ("taken over", 0),
            ("taken over", 0),
            ("stage", 2),
        ]
        assert stages[0]["snapshot_digest"] == stages[1]["snapshot_digest"] == old != stages[2]["snapshot_digest"]
        rates = [stage["section"]["optimizer"]["lr"] for stage in (days.record("stage_3_checkpoint"),)]
        assert rates == [pytest.approx(0.3 * workspace.profile.stage_3.optimizer.lr)]
        assert days.champion().version == 2 and days.champion().tags["continued_from"].startswith(
            "omnihuman-teacher 1 (omnihuman-student 1's), 2 steps"
        )
        assert days.champion().tags["earlier_snapshots"] == old
        assert isinstance(days.night(), dg.SkipReason), "the champion now knows all clips"

        # Day 4: what people send is dark, and so are the few new clips; too few to be judged for themselves.
        served = ask_for(workspace, scores_of(workspace, second[0]), 60)
        skipped = days.night()
        assert isinstance(skipped, dg.SkipReason) and "no clips of today are nearer" in skipped.skip_message
        drop_dark(workspace, range(720_000, 720_004))
        third, _ = days.day()
        assert len(scores_of(workspace, third[0])) == 4 < workspace.profile.refresh.min_clips
        request = days.night()
        found = decision(request)
        assert len(found["reasons"]) == 1 and found["start"] == "champion"
        assert found["reasons"][0].startswith("what is asked of the champion drifted from its clips")
        assert "brightness (PSI" in found["reasons"][0] and "today's clips are nearer" in found["reasons"][0]
        assert days.train(request, ["training_snapshot", *STAGES]) == {"training_snapshot", *STAGES}
        assert [days.record(stage)["steps"] for stage in STAGES] == [0, 0, 2]
        learnt = pd.read_parquet(workspace.data("training_snapshot") / "samples.parquet")["clip_id"]
        assert set(scores_of(workspace, third[0])["clip_id"]) <= set(learnt)
        served.forget(days=0)

        # A clip is withdrawn: the champion's weights saw it, so training begins from scratch, without it.
        gone = pd.read_parquet(workspace.data("raw_clips", first[0]) / "clips.parquet")["clip_id"].iloc[0]
        _, _, saw = withdraw_clips(workspace, gone, "asked for")
        assert {"omnihuman-teacher 1", "omnihuman-teacher 2", "omnihuman-student 2"} <= {
            exposure.name for exposure in saw
        }
        request = days.night()
        found = decision(request)
        assert found["reasons"] == ["1 clips of the champion's snapshot are withdrawn or gone"]
        assert (found["start"], found["start_reason"]) == (
            "scratch",
            "its weights have seen clips that are withdrawn or gone",
        )
        assert days.train(request, ["training_snapshot", "stage_1_checkpoint"]) == {
            "training_snapshot",
            "stage_1_checkpoint",
        }
        assert gone not in set(pd.read_parquet(workspace.data("training_snapshot") / "samples.parquet")["clip_id"])
        assert (days.record("stage_1_checkpoint")["kind"], days.record("stage_1_checkpoint")["steps"]) == ("stage", 2)
