"""Against a real S3 protocol server: clips come in from a bucket, DVC's remote is one, and compose's buckets are made."""

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dvc.repo import Repo

from assets.core.catalogue import STEPS
from assets.core.dvc_cache import cache_folder
from assets.core.dvc_stages import ensure_repository
from assets.core.shard_plans import planned_files
from assets.core.workspace import Workspace, open_workspace
from assets.past.dvc_remote import fetch_point, missing_outputs, name_remote, push_restore_points
from assets.past.restore_points import keep_restore_point
from curation.errors import CurationError
from curation.intake.remote_inbox import fetch_remote
from orchestration.dagster_location.sensors import inbox_sensor
from profiles import load_profile
from tests.deploy.servers import DEPLOY, name_store, s3_server
from tests.orchestration.rounds import SHARD, put_raw_clips, put_snapshot

pytestmark = pytest.mark.end_to_end
pytest.importorskip("moto", reason="the extra `s3-test` is not installed")
s3fs = pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
CURATION = ("raw_clips", "clip_scores", "filtered_subsets", "condition_features", "training_snapshot")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def store(address, monkeypatch):
    """A client of the empty buckets of compose.yaml, made by the very command there; the environment names the server."""
    name_store(monkeypatch, address)
    for name in ("OMNIHUMAN_SET", "OMNIHUMAN_INBOX", "OMNIHUMAN_REMOTE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["buckets"]
    for _ in range(2):  # again, as after a restart
        subprocess.run([sys.executable, *service["command"][1:]], check=True)
    client = s3fs.S3FileSystem(skip_instance_cache=True)
    assert set(client.ls("")) == {"dvc", "inbox", "mlflow"}
    yield client
    for bucket in ("dvc", "inbox", "mlflow"):
        for path in client.find(bucket):
            client.rm(path)


def put_curation(root: Path) -> Workspace:
    """A snapshot with all that it was frozen from, committed to DVC."""
    workspace = Workspace(root, load_profile("laptop", []))
    ensure_repository(workspace)
    put_raw_clips(workspace, ["aaaaaaaaaaaa0001"])
    for asset in CURATION[1:]:
        folder = workspace.data(asset, SHARD if STEPS[asset].sharded else None)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STEPS[asset].marker).write_text(asset)
    put_snapshot(workspace, "0d" * 32, ["aaaaaaaaaaaa0001"])
    with chdir(workspace.root), Repo(str(workspace.root)) as repo:
        for asset in CURATION:
            repo.commit(f"{workspace.root / 'dvc.yaml'}:{asset}", force=True)
    return workspace


def test_the_sensor_reads_new_objects_of_a_bucket_once(store, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    monkeypatch.setenv("OMNIHUMAN_INBOX", "s3://inbox/clips")
    workspace = open_workspace()

    def tick(instance):
        context = dg.build_sensor_context(instance=instance)
        return inbox_sensor(context)

    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(instance), dg.SkipReason), "an empty bucket is no fault"
        store.pipe({"inbox/clips/deep/a.mp4": b"one", "inbox/clips/deep/a.mp4.json": b"{}", "inbox/other/c.mp4": b"no"})
        monkeypatch.setattr("curation.intake.unsettled_files.SETTLE_SECONDS", 0.0)
        asked = tick(instance)
        (file,) = planned_files(workspace, asked.run_requests[0].partition_key)
        assert file.read_bytes() == b"one" and file.name == "a.mp4" and file.with_name("a.mp4.json").is_file()
    assert fetch_remote("s3://inbox/clips", file.parent.parent).paths == ()
    store.pipe("inbox/clips/deep/a.mp4", b"changed")
    assert fetch_remote("s3://inbox/clips", file.parent.parent).paths == (file,) and file.read_bytes() == b"changed"


def test_a_bucket_that_is_not_there_is_named(store, tmp_path):
    with pytest.raises(CurationError, match="s3://nowhere/clips cannot be listed"):
        fetch_remote("s3://nowhere/clips", tmp_path)


def test_a_snapshot_goes_to_the_bucket_and_comes_back_from_it(store, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_REMOTE", "s3://dvc/team")
    workspace = put_curation(tmp_path)
    point = keep_restore_point(workspace)
    assert point is not None and sorted(point.outputs) == sorted(CURATION)

    pushed = push_restore_points(workspace)
    assert name_remote(workspace) == "s3://dvc/team" and pushed.done == (point.name,) and not pushed.waiting, pushed.why
    assert store.find("dvc/team")
    shutil.rmtree(cache_folder(workspace))
    assert sorted(missing_outputs(workspace, point)) == sorted(CURATION)
    assert fetch_point(workspace, point) == len(CURATION) and missing_outputs(workspace, point) == []


def test_a_remote_that_lacks_the_bucket_undoes_nothing(store, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_REMOTE", "s3://nowhere")
    workspace = put_curation(tmp_path)
    point = keep_restore_point(workspace)
    pushed = push_restore_points(workspace)
    assert point is not None and pushed.waiting == (point.name,) and "s3://nowhere" in str(pushed) and pushed.why
