"""Stages that begin from the champion's teacher: what is chosen, taken over and trained on, and what is refused."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository
from assets.core.names import STUDENT, TEACHER
from assets.core.steps import AssetError
from assets.core.training_start import read_start
from assets.core.workspace import Workspace
from assets.make.execute import execute, is_current
from assets.past.who_saw import who_saw
from assets.retraining.choose_start import choose_start
from curation.snapshot.withdrawals import withdraw
from omnihuman.digests import weights_digest
from orchestration.commands.cli import app
from profiles import load_profile
from tests.orchestration.rounds import commit, put_raw_clips, put_snapshot
from tracking.model_address import CHAMPION
from tracking.version_origin import VersionOrigin

OLD, NEW, CLIP = "0d" * 32, "1e" * 32, "aaaaaaaaaaaa0001"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A champion of snapshot OLD and its teacher in the registry; in `data` the teacher's checkpoint and snapshot NEW."""
    found = Workspace(tmp_path_factory.mktemp("made"), load_profile("laptop", []))
    ensure_repository(found)
    put_raw_clips(found, [CLIP])
    put_snapshot(found, OLD, [CLIP])
    commit(found, "training_snapshot")
    record = {
        "name": "stage_3_checkpoint",
        "snapshot_digest": OLD,
        "weights_digest": "w" * 64,
        "parent": "stage_2_checkpoint",
    }
    found.data("stage_3_checkpoint").mkdir()
    (found.data("stage_3_checkpoint") / "record.json").write_text(json.dumps(record))
    commit(found, "stage_3_checkpoint")
    pipeline = found.var / "pipeline"
    (pipeline / "transformer").mkdir(parents=True)
    (pipeline / "transformer" / "config.json").write_text("{}")
    save_file({"weight": torch.arange(3.0)}, pipeline / "transformer" / "diffusion_pytorch_model.safetensors")
    trained = VersionOrigin(
        weights_digest="w" * 64, files_digest=weights_digest(pipeline / "transformer"), snapshot_digest=OLD
    )
    teacher = found.registry.register(TEACHER, pipeline, origin=trained)
    distilled = VersionOrigin(snapshot_digest=OLD, teacher_version=teacher.version)
    student = found.registry.register(STUDENT, pipeline, origin=distilled)
    found.registry.set_alias(STUDENT, CHAMPION, student.version)
    put_snapshot(found, NEW, [CLIP])
    commit(found, "training_snapshot")
    return found.root


@pytest.fixture
def workspace(made, tmp_path, monkeypatch):
    """A copy; MLflow's artifacts stay where they were registered."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(made, tmp_path / "copy")
    return Workspace(tmp_path / "copy", load_profile("laptop", []))


def job_of(workspace, stage) -> dict:
    """What the stage would train."""
    started = []
    with pytest.raises(AssetError, match="without writing"):
        execute(workspace, STEPS[stage], launch=started.append)
    return json.loads(started[0].job.read_text())


def test_stages_1_and_2_take_over_the_champions_teacher_and_stage_3_trains_it_on(workspace):
    start = choose_start(workspace, "champion")
    assert (start.student, start.teacher, start.snapshot) == (1, 1, OLD) and read_start(workspace) == start
    for stage in ("stage_1_checkpoint", "stage_2_checkpoint"):
        execute(workspace, STEPS[stage])
        record = json.loads((workspace.data(stage) / "record.json").read_text())
        assert (
            weights_digest(workspace.data(stage) / "transformer") == start.files == record["weights_digest"]
            and record["snapshot_digest"] == OLD
        )
        assert is_current(workspace, STEPS[stage])
    job, profile = job_of(workspace, "stage_3_checkpoint"), workspace.profile
    section = job["profile_values"]["stage_3"]
    assert job["parent"] == str(workspace.data("stage_2_checkpoint")) and job["continued_from"] == str(start)
    assert section["steps"] == profile.continuation.steps != profile.stage_3.steps
    assert (
        section["optimizer"]["lr"] == profile.stage_3.optimizer.lr * 0.3
        and section["optimizer"]["adam_lr"] == profile.stage_3.optimizer.adam_lr * 0.3
    )
    assert job["profile_values"]["consistency"] == profile.consistency.model_dump(mode="json"), (
        "the distillation is that of a training from scratch"
    )


def test_another_choice_puts_the_stages_out_of_date_and_a_champion_that_moves_does_not(workspace):
    choose_start(workspace, "champion")
    execute(workspace, STEPS["stage_1_checkpoint"])
    other = workspace.registry.register(STUDENT, workspace.registry.folder(STUDENT, 1))
    workspace.registry.set_alias(STUDENT, CHAMPION, other.version)
    assert is_current(workspace, STEPS["stage_1_checkpoint"])
    choose_start(workspace, "scratch")
    assert not is_current(workspace, STEPS["stage_1_checkpoint"]) and read_start(workspace) is None
    job = job_of(workspace, "stage_1_checkpoint")
    assert (
        job["parent"] is None
        and job["continued_from"] == ""
        and job["profile_values"] == workspace.profile.model_dump(mode="json")
    )


def test_lineage_leads_from_the_old_snapshots_clip_over_the_teacher_to_what_goes_on_from_it(workspace):
    choose_start(workspace, "champion")
    execute(workspace, STEPS["stage_1_checkpoint"])
    saw = {
        (exposure.name, exposure.detail.split(",")[1].strip())
        for exposure in who_saw(workspace, {CLIP})
        if exposure.kind == "checkpoint"
    }
    assert {
        ("stage_3_checkpoint", f"trained on snapshot {OLD[:12]}"),
        ("stage_1_checkpoint", f"trained on snapshot {OLD[:12]}"),
    } <= saw


def test_a_teacher_that_saw_a_withdrawn_clip_is_refused_and_the_choice_stays(workspace):
    before = workspace.start.read_bytes()
    withdraw(
        workspace.tombstones,
        pd.read_parquet(workspace.data("raw_clips", "s-000000000001") / "clips.parquet"),
        CLIP,
        "asked for",
    )
    with pytest.raises(
        AssetError,
        match=r"omnihuman-teacher 1 saw clips that are withdrawn now; begin from scratch: `omnihuman start scratch`",
    ):
        choose_start(workspace, "champion")
    assert workspace.start.read_bytes() == before


def test_a_champion_whose_files_are_gone_or_changed_is_one_error_with_the_remedy(workspace, made):
    choose_start(workspace, "champion")
    weights = workspace.registry.folder(TEACHER, 1) / "transformer" / "diffusion_pytorch_model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-1] + b"\x7f")
        with pytest.raises(
            AssetError,
            match=r"start.json begins from omnihuman-teacher 1, whose files are not as they were signed .*changed.*`omnihuman start scratch`",
        ):
            execute(workspace, STEPS["stage_1_checkpoint"])
        weights.unlink()
        with pytest.raises(
            AssetError, match=r"whose files are not as they were signed .*is gone.*`omnihuman start scratch`"
        ):
            execute(workspace, STEPS["stage_1_checkpoint"])
        with pytest.raises(AssetError, match=r"not as they were signed .*is gone"):
            choose_start(workspace, "champion")
    finally:
        weights.write_bytes(kept)
    assert not workspace.data("stage_1_checkpoint").exists()


@pytest.mark.parametrize(
    "text", ['{"from": "champion"}', "{", '{"from": "elsewhere"}', '{"from": "scratch", "steps": 3}', "[]"]
)
def test_a_start_file_that_nobody_wrote_so_is_named_with_the_remedy(workspace, text):
    workspace.start.write_text(text)
    with pytest.raises(AssetError, match=r"start\.json.*write it anew with `omnihuman start scratch`"):
        read_start(workspace)


def test_what_cannot_be_continued_says_why(workspace, tmp_path):
    never = Workspace(workspace.root, load_profile("laptop", ["continuation=null"]))
    with pytest.raises(AssetError, match="profile laptop has no section `continuation`"):
        choose_start(never, "champion")
    empty = Workspace(tmp_path / "empty", workspace.profile)
    with pytest.raises(AssetError, match="no champion in .* to begin from"):
        choose_start(empty, "champion")
    assert not (tmp_path / "empty").exists()


def test_the_command_says_and_sets_where_training_begins(workspace, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(workspace.root))
    for name in ("OMNIHUMAN_SET", "OMNIHUMAN_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, ["start", *arguments])

    assert run().output.startswith("training begins from scratch (")
    assert run("champion").output.startswith(
        "training begins from omnihuman-teacher 1 (omnihuman-student 1's), 160 steps at 0.3 of stage 3's rates ("
    )
    assert read_start(workspace) is not None and "omnihuman-teacher 1" in run().output
    assert run("scratch").exit_code == 0 and read_start(workspace) is None
    assert "not from 'elsewhere'" in str(run("elsewhere").exception)
