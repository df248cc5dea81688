"""Two states of one workspace, the first replaced by the second: each comes back whole, here, in a folder and on another machine."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_cache import cache_folder, committed_folder
from assets.core.dvc_lock import DvcLock, LockedStage
from assets.core.dvc_stages import ensure_repository
from assets.core.names import FROM_SCRATCH
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.features_left import features_left
from assets.kinds.signed_snapshots import sign_snapshot, verify_for_registration
from assets.make.execute import is_current
from assets.make.mark_current import adopt
from assets.past.dvc_remote import REMOTE_VARIABLE, missing_outputs, push_restore_points
from assets.past.restore_points import find_restore_point, fitting, keep_restore_point, restore_points
from media.store.listing import RemoteFolder
from media.store.objects import ObjectStore
from orchestration.commands.cli import app
from orchestration.past.restored_events import report_restored
from orchestration.past.restoring import RestoreError, restore
from profiles import load_profile
from provenance.signed_list import TamperedFiles
from tests.orchestration.rounds import CHAIN, SHARD, commit, put_raw_clips, put_snapshot
from tests.provenance.cases import flip

pytestmark = pytest.mark.end_to_end  # whole DVC repositories, pushed and pulled

A, B = "aaaaaaaaaaaa0001", "bbbbbbbbbbbb0002"
OLD, NEW = "0d" * 32, "1e" * 32
WHOLE_CURATION = ("raw_clips", "clip_scores", "filtered_subsets", "condition_features", "training_snapshot")
WHOLE = [step.name for step in FLOW if step.name not in ("baseline_comparison", "promoted_champion")]


def put_state(workspace: Workspace, name: str, digest: str, clips: list[str], version: int) -> None:
    """One round with all that it was made from, committed to DVC; every file says which round made it."""
    put_raw_clips(workspace, clips)
    (workspace.data("raw_clips", SHARD) / "shard.json").write_text(name)
    for asset in WHOLE[1:]:
        folder = workspace.data(asset, SHARD if STEPS[asset].sharded else None)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STEPS[asset].marker).parent.mkdir(parents=True, exist_ok=True)
        (folder / STEPS[asset].marker).write_text("the same benchmark" if asset == "benchmark_sets" else name)
    put_snapshot(workspace, digest, clips)
    for asset in CHAIN:
        record = {"name": asset, "snapshot_digest": digest, "weights_digest": f"{name}-{asset}"}
        (workspace.data(asset) / "record.json").write_text(json.dumps(record))
    row = {
        "model": "distilled_student",
        "mode": "audio",
        "metric": "mouth_correlation",
        "value": sum(name.encode()) / 1000,
    }
    pd.DataFrame([row]).to_parquet(workspace.data("benchmark_scores") / "scores.parquet")
    registered = {"omnihuman-student": {"version": version}}
    (workspace.data("registered_model") / "model_version.json").write_text(json.dumps(registered))
    with chdir(workspace.root), Repo(str(workspace.root)) as repo:
        repo.commit(f"{workspace.root / 'dvc.yaml'}:{WHOLE[-1]}", with_deps=True, force=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The workspace with both states, to be copied, and the remote that has both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("states")
        patch.setenv(REMOTE_VARIABLE, str(root / "remote"))
        found = Workspace(root / "workspace", load_profile("laptop", []))
        ensure_repository(found)
        for version, (name, digest, clips) in enumerate((("old", OLD, [A, B]), ("new", NEW, [B])), start=1):
            put_state(found, name, digest, clips, version)
            sign_snapshot(found)
            keep_restore_point(found)
            assert not push_restore_points(found).waiting
        return root


@pytest.fixture
def workspace(made, tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_SET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(REMOTE_VARIABLE, str(made / "remote"))
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path / "copy"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "copy" / "var" / "dagster"))
    monkeypatch.setattr(
        "orchestration.past.restoring._tell_dagster", lambda *arguments: None
    )  # seconds each; tested below
    shutil.copytree(made / "workspace", tmp_path / "copy")
    return Workspace(tmp_path / "copy", load_profile("laptop", []))


def holds(root: Path) -> tuple[str, str, float]:
    """Which round's shard, weights and score lie there."""
    record = json.loads((root / "data" / "distilled_student" / "record.json").read_text())
    value = pd.read_parquet(root / "data" / "benchmark_scores" / "scores.parquet")["value"].iloc[0]
    return (root / "data" / "raw_clips" / SHARD / "shard.json").read_text(), record["weights_digest"], value


def status(root: Path) -> dict:
    with chdir(root), Repo(str(root)) as repo:
        return repo.status()


OLD_STATE = ("old", "old-distilled_student", sum(b"old") / 1000)
NEW_STATE = ("new", "new-distilled_student", sum(b"new") / 1000)


def test_a_state_comes_back_with_the_start_that_its_stages_had(workspace):
    workspace.start.write_text('{"from": "another start, chosen since"}')
    restored = restore(workspace, OLD)
    assert workspace.start.read_text() == FROM_SCRATCH and not set(CHAIN) & set(restored.outdated)


def test_each_snapshot_keeps_its_own_lock_and_what_was_scored_on_it(workspace):
    frozen, old = (point for point in restore_points(workspace) if point.snapshot == OLD)
    assert old.weights == "old-distilled_student" and old.numbers == {"audio.mouth_correlation": OLD_STATE[2]}
    assert sorted(old.outputs) == sorted(WHOLE) and tuple(frozen.outputs) == WHOLE_CURATION
    assert (
        keep_restore_point(workspace) == find_restore_point(workspace, NEW[:8]) and len(restore_points(workspace)) == 4
    )


@pytest.mark.parametrize("name", [OLD[:8], "old-distilled", "1", "omnihuman-student:1", "models:/omnihuman-student/1"])
def test_the_names_people_have_for_a_state_mean_it(workspace, name):
    assert find_restore_point(workspace, name).snapshot == OLD


def test_a_score_table_names_its_state_and_an_unknown_name_is_answered_with_those_that_are_there(workspace):
    old = find_restore_point(workspace, "1")
    assert find_restore_point(workspace, old.scores[:9]) == old == find_restore_point(workspace, old.name)
    with pytest.raises(AssetError, match=r"named 'dead'; there is:\n  0d0d0d0d0d0d"):
        find_restore_point(workspace, "dead")
    with pytest.raises(AssetError, match="no alias 'champion'"):
        find_restore_point(workspace, "champion")


def test_the_older_state_comes_back_and_dvc_and_the_pipeline_have_nothing_to_do(workspace):
    assert holds(workspace.root) == NEW_STATE
    assert not any("snapshots" in stage for stage in status(workspace.root)), (
        "DVC takes no past state for stages of today"
    )
    restored = restore(workspace, "1")
    assert holds(workspace.root) == OLD_STATE and restored.outdated == []
    assert not set(status(workspace.root)) & set(WHOLE)
    assert all(is_current(workspace, STEPS[name], shard) for name, shard in restored.adopted)
    assert {name for name, _ in restored.adopted} == set(WHOLE)
    restore(workspace, NEW[:6])
    assert holds(workspace.root) == NEW_STATE


def test_a_folder_becomes_a_workspace_of_its_own_and_the_other_stays(workspace, tmp_path, caplog):
    restored = restore(workspace, "1", tmp_path / "past")
    assert holds(tmp_path / "past") == OLD_STATE and holds(workspace.root) == NEW_STATE
    assert not set(status(tmp_path / "past")) & set(WHOLE) and restored.outdated == []
    assert "omnihuman-student 1 is not in MLflow's store" in restored.notes[0], "which is no part of a snapshot"
    verify_for_registration(Workspace(tmp_path / "past", workspace.profile), OLD)
    assert "was not signed" not in caplog.text
    with pytest.raises(RestoreError, match="is not empty"):
        restore(workspace, NEW[:6], tmp_path / "past")


def test_features_can_stay_in_the_remote_and_a_training_is_told_where(workspace, tmp_path):
    restore(workspace, "1", tmp_path / "past", leave=["condition_features"])
    past = Workspace(tmp_path / "past", workspace.profile)
    assert holds(past.root) == OLD_STATE and not past.data("condition_features").exists()
    url, _, listing = features_left(past).partition("#")
    assert listing == find_restore_point(workspace, "1").outputs["condition_features"]
    left = {
        path.relative_to(workspace.data("condition_features"))
        for path in workspace.data("condition_features").rglob("*.*")
    }
    assert {Path(name) for name in RemoteFolder(ObjectStore(url), listing).files} == left
    assert features_left(workspace) == "", "here they are on the disk"
    with pytest.raises(RestoreError, match="is there, of whatever state"):
        restore(workspace, OLD, leave=["condition_features"])
    with pytest.raises(RestoreError, match="has no nothing"):
        restore(workspace, OLD, leave=["nothing"])


def test_what_dvc_does_not_bring_comes_by_the_lists_of_the_remote(workspace, tmp_path, monkeypatch, capsys):
    def fetch(repo: Repo) -> int:
        raise RuntimeError("DVC does not know this store any more")

    shutil.rmtree(cache_folder(workspace))
    monkeypatch.setattr(Repo, "fetch", fetch)
    restore(workspace, "1", tmp_path / "past")
    assert holds(tmp_path / "past") == OLD_STATE
    said = capsys.readouterr().err
    assert "DVC does not know this store any more" in said and "by their hashes" in said


def test_a_fresh_clone_pulls_a_state_and_has_nothing_to_do(workspace, made, tmp_path, monkeypatch, caplog):
    """What git keeps, and `dvc pull`: no cache, no records, no Dagster home."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "tombstones.jsonl", "start.json", "snapshots"):
        kept = workspace.root / name
        (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, clone / name)
    Repo.init(str(clone), no_scm=True).close()
    monkeypatch.chdir(clone)
    with Repo(str(clone)) as repo, repo.config.edit() as config:
        config["remote"]["team"] = {"url": str(made / "remote")}
        config["core"]["remote"] = "team"
    with Repo(str(clone)) as repo:
        repo.pull([f"{clone / 'dvc.yaml'}:{name}" for name in WHOLE])
        assert repo.reproduce([f"{clone / 'dvc.yaml'}:registered_model"]) == [], "`dvc repro` has nothing to do"
    pulled = Workspace(clone, workspace.profile)
    verify_for_registration(pulled, NEW)
    assert "was not signed" not in caplog.text, "its signed list came with what git keeps"
    flip(pulled.data("training_snapshot") / "samples.parquet")
    with pytest.raises(TamperedFiles, match=r"samples\.parquet is not the file that was signed"):
        verify_for_registration(pulled, NEW)
    flip(pulled.data("training_snapshot") / "samples.parquet")
    assert holds(clone) == NEW_STATE and {name for name, _ in adopt(pulled)} == set(WHOLE)
    assert all(is_current(pulled, STEPS[name], SHARD if STEPS[name].sharded else None) for name in WHOLE)
    monkeypatch.delenv(REMOTE_VARIABLE)
    restore(pulled, "1")
    assert holds(clone) == OLD_STATE, "the state before comes out of the remote that .dvc/config names"


def test_other_settings_than_then_are_said_and_made_anew(workspace):
    other = Workspace(workspace.root, load_profile("laptop", ["stage_3.steps=7"]))
    restored = restore(other, "1")
    assert restored.outdated == ["stage_3_checkpoint"]
    assert not is_current(other, STEPS["stage_3_checkpoint"]) and is_current(other, STEPS["stage_2_checkpoint"])


def test_files_that_no_cache_has_are_not_lost_unless_told(workspace):
    mine = workspace.data("distilled_student") / "notes.txt"
    mine.write_text("by hand")
    with pytest.raises(RestoreError, match="would be lost"):
        restore(workspace, "1")
    assert mine.read_text() == "by hand" and holds(workspace.root) == NEW_STATE
    assert find_restore_point(workspace, NEW).outputs["distilled_student"] in (workspace.root / "dvc.lock").read_text()
    restore(workspace, "1", force=True)
    assert holds(workspace.root) == OLD_STATE and not mine.exists()


def test_withdrawn_since_is_said_and_stays_withdrawn(workspace, tmp_path):
    workspace.tombstones.write_text(
        json.dumps(
            {"target": A, "selector": "clip_id", "clip_ids": [A], "source_sha256": [], "reason": "r", "when": "w"}
        )
        + "\n"
    )
    restored = restore(workspace, "1", tmp_path / "past")
    assert "1 clips of it are withdrawn since" in restored.notes[-1] and "training_snapshot" in restored.outdated
    assert A in (tmp_path / "past" / "tombstones.jsonl").read_text()


def test_bytes_that_are_nowhere_are_named(workspace, monkeypatch):
    point = find_restore_point(workspace, "1")
    cache = cache_folder(workspace)
    shutil.rmtree(cache)
    monkeypatch.setenv(REMOTE_VARIABLE, "none")
    with pytest.raises(AssetError, match="lacks .*distilled_student.*there is no DVC remote.*OMNIHUMAN_REMOTE"):
        restore(workspace, point.name)
    assert holds(workspace.root) == NEW_STATE


def test_an_unreachable_remote_undoes_nothing_and_is_tried_again(workspace, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(
        REMOTE_VARIABLE, str(tmp_path / "file" / "below")
    )  # no folder can be made there, not even by root
    pushed = push_restore_points(workspace)
    assert len(pushed.waiting) == 4 and pushed.done == () and "`omnihuman push` tries again" in str(pushed)
    refused = CliRunner().invoke(app, ["push"])
    assert refused.exit_code == 1 and "not pushed to" in refused.stdout
    monkeypatch.setenv(REMOTE_VARIABLE, str(tmp_path / "reachable"))
    accepted = CliRunner().invoke(app, ["push"])
    assert accepted.exit_code == 0 and accepted.stdout.count("pushed ") == 4
    shutil.rmtree(cache_folder(workspace))
    point = find_restore_point(workspace, "1")
    assert missing_outputs(workspace, point)
    with pytest.raises(RestoreError, match="would be lost"):  # what stands there is in no cache any more
        restore(workspace, point.name)
    restore(workspace, point.name, tmp_path / "back")
    assert holds(tmp_path / "back") == OLD_STATE and holds(workspace.root) == NEW_STATE


def test_a_shard_that_came_in_while_a_student_was_trained_is_no_part_of_its_state(workspace):
    put_raw_clips(workspace, [A, B], "s-000000000002")
    commit(workspace, "raw_clips")
    point = keep_restore_point(workspace)
    assert point.snapshot == NEW and point.outputs == find_restore_point(workspace, NEW).outputs


def test_a_shard_that_waited_to_be_recorded_is_in_the_cache_before_it_is_replaced(workspace):
    put_raw_clips(workspace, [A, B], "s-000000000002")
    (workspace.var / "unrecorded").mkdir(parents=True)
    (workspace.var / "unrecorded" / "raw_clips").write_bytes(b".")
    restore(workspace, "1")
    (replaced,) = (workspace.var / "replaced_locks").iterdir()
    made = DvcLock.read(replaced).made("raw_clips")
    kept = committed_folder(cache_folder(workspace), made).files["s-000000000002/clips.parquet"]
    assert holds(workspace.root) == OLD_STATE and kept.is_file()


def test_stages_made_from_something_else_do_not_fit():
    stages = {
        name: {"deps": [], "outs": [{"path": f"data/{name}", "md5": f"{name}-1.dir"}]}
        for name in ("raw_clips", "benchmark_sets")
    }
    stages["clip_scores"] = {
        "deps": [{"path": "data/raw_clips", "md5": "raw_clips-2.dir"}],
        "outs": [{"path": "data/clip_scores", "md5": "c.dir"}],
    }
    lock = DvcLock({name: LockedStage.parse(name, entry) for name, entry in stages.items()})
    assert list(fitting(lock).stages) == ["raw_clips", "benchmark_sets"]


def test_a_hand_edited_hash_makes_no_state_and_spoils_none(workspace):
    lock, point = workspace.root / "dvc.lock", find_restore_point(workspace, NEW)
    lock.write_text(lock.read_text().replace(point.outputs["stage_2_checkpoint"], "0" * 32 + ".dir", 1))
    kept = keep_restore_point(workspace)
    assert kept.snapshot == NEW and kept.weights == "" and len(restore_points(workspace)) == 4
    restore(workspace, point.name)
    assert holds(workspace.root) == NEW_STATE and "0" * 32 not in lock.read_text()


def test_a_damaged_lock_is_named(workspace):
    (workspace.root / "dvc.lock").write_text("stages:\n  raw_clips: [")
    with pytest.raises(AssetError, match="dvc.lock is no lock file of DVC"):
        keep_restore_point(workspace)


def test_dagster_is_told_once_and_only_what_is_news_to_it():
    with dg.DagsterInstance.ephemeral() as instance:
        adopted = {("raw_clips", SHARD): "v1", ("clip_scores", SHARD): "v2", ("training_snapshot", None): "v3"}
        assert report_restored(instance, adopted, "point") == 3
        assert instance.get_dynamic_partitions("shard") == [SHARD]
        assert report_restored(instance, adopted, "point") == 0
        assert report_restored(instance, adopted | {("clip_scores", SHARD): "v4"}, "point") == 1
        event = instance.get_latest_materialization_event(dg.AssetKey("clip_scores")).asset_materialization
        assert event.tags["dagster/data_version"] == "v4" and event.tags["dagster/input_data_version/raw_clips"] == "v1"


def test_all_states_are_listed(workspace):
    done = CliRunner().invoke(app, ["restore"])
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 4 and "omnihuman-student 2" in done.stdout
