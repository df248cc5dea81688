"""When DVC records shards: each at once while they are few, together when they are many."""

import pytest

from assets.core import dvc_stages
from assets.core.catalogue import STEPS
from assets.core.dvc_repository import open_repository
from assets.core.workspace import Workspace
from media import whole_directory
from profiles import load_profile

RAW_CLIPS = STEPS["raw_clips"]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, load_profile("laptop", []))


@pytest.fixture
def recorded(monkeypatch):
    """(asset, its shards) of each `dvc commit`, which is not done: tests of restore and demo do it."""
    found = []

    def record(workspace, step):
        found.append((step.name, len(workspace.shards(step.name))))
        dvc_stages._waiting(workspace, step).unlink(missing_ok=True)

    monkeypatch.setattr(dvc_stages, "record_in_dvc", record)
    return found


def make_shards(workspace, numbers):
    for number in numbers:
        workspace.data("raw_clips", f"s-{number:012x}").mkdir(parents=True)
        dvc_stages.record_shard(workspace, RAW_CLIPS)


def test_a_twentieth_of_all_shards_is_recorded_at_a_time(workspace, recorded):
    make_shards(workspace, range(1, 65))
    counts = [count for _, count in recorded]
    assert counts == [*range(1, 21), *range(22, 41, 2), *range(43, 59, 3), 62], "64 waits for two more"
    dvc_stages.record_waiting(workspace)
    assert recorded[-1] == ("raw_clips", 64)
    dvc_stages.record_waiting(workspace)
    assert len(recorded) == len(counts) + 1, "nothing waits"


def test_before_a_snapshot_every_sharded_stage_is_brought_up_where_shards_of_one_wait(workspace, recorded):
    for name in ("raw_clips", "clip_scores", "filtered_subsets"):
        workspace.data(name, "s-000000000001").mkdir(parents=True)
    (workspace.var / "unrecorded").mkdir(parents=True)
    (workspace.var / "unrecorded" / "clip_scores").write_bytes(b".")
    dvc_stages.record_waiting(workspace)
    assert recorded == [("raw_clips", 1), ("clip_scores", 1), ("filtered_subsets", 1)]


def test_under_dvc_repro_dvc_records_the_stage_itself(workspace, recorded, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "raw_clips")
    make_shards(workspace, range(3))
    assert recorded == [] and not (workspace.var / "unrecorded").exists()


def test_a_recording_that_was_killed_is_done_again(workspace, recorded):
    """Its shards were no longer counted as waiting when DVC began, and nothing says that DVC came to its end."""
    workspace.data("raw_clips", "s-000000000001").mkdir(parents=True)
    dvc_stages._waiting(workspace, RAW_CLIPS).parent.mkdir(parents=True)
    dvc_stages._waiting(workspace, RAW_CLIPS).write_bytes(b".")
    dvc_stages._take_waiting(workspace, RAW_CLIPS)
    dvc_stages.record_waiting(workspace)
    assert recorded == [("raw_clips", 1)]


def test_hard_links_hold_a_product_once_and_what_replaces_it_leaves_the_cache_alone(workspace):
    """`dvc config cache.type hardlink,copy` in a home whose disk knows no reflinks: products are replaced by rename, never written into."""
    dvc_stages.ensure_repository(workspace)
    with open_repository(workspace.root) as repo, repo.config.edit() as config:
        config["cache"]["type"] = ["hardlink", "copy"]
    file = workspace.data("raw_clips", "s-000000000001") / "clips.tar"
    for content in (b"first", b"second"):
        with whole_directory(file.parent) as folder:
            (folder / file.name).write_bytes(content)
        dvc_stages.record_in_dvc(workspace, RAW_CLIPS)
        assert (file.read_bytes(), file.stat().st_nlink) == (content, 2)
    kept = [path.read_bytes() for path in (workspace.root / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert {b"first", b"second"} <= set(kept)
