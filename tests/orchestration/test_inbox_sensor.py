"""What the inbox sensor asks for: settled files once, again after a failure, never what is known, moved or withdrawn."""

import json
import os
import time

import dagster as dg
import pandas as pd
import pytest

from assets.core.shard_plans import plan_new_shards, planned_files
from assets.core.workspace import open_workspace
from curation.intake.inbox import fingerprint
from curation.snapshot.withdrawals import Tombstone, is_withdrawn_content
from orchestration.dagster_location.ingest_requests import ATTEMPTS, FIRST_PAUSE, ingest_requests
from orchestration.dagster_location.sensors import inbox_sensor


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("OMNIHUMAN_SET", "OMNIHUMAN_INBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    found = open_workspace()
    found.inbox.mkdir()
    return found


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def drop(workspace, name, content, age=1000.0):
    path = workspace.inbox / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def put_shard(workspace, shard, files):
    """A finished shard that holds these contents."""
    folder = workspace.data("raw_clips", shard)
    folder.mkdir(parents=True)
    pd.DataFrame({"source_sha256": [fingerprint(path) for path in files]}).to_parquet(folder / "clips.parquet")
    pd.DataFrame({"sha256": []}).to_parquet(folder / "quarantine.parquet")


def tick(instance, cursor=None):
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return inbox_sensor(context), context.cursor


def test_a_file_that_is_still_being_written_waits_and_the_others_go_on(workspace, instance):
    drop(workspace, "whole.mp4", b"whole")
    half = drop(workspace, "half.mp4", b"ha", age=0)
    asked, cursor = tick(instance)
    assert len(asked.run_requests) == 1
    assert [path.name for path in planned_files(workspace, asked.run_requests[0].partition_key)] == ["whole.mp4"]
    assert list(json.loads(cursor)) == ["half.mp4"]
    half.write_bytes(b"half, and now whole")
    os.utime(half, (time.time() - 1000,) * 2)
    put_shard(workspace, asked.run_requests[0].partition_key, [workspace.inbox / "whole.mp4"])
    later, cursor = tick(instance, cursor)
    assert [path.name for path in planned_files(workspace, later.run_requests[0].partition_key)] == ["half.mp4"]
    assert json.loads(cursor) == {}


def test_partition_and_observation_come_with_the_request(workspace, instance):
    drop(workspace, "a.mp4", b"a")
    asked, _ = tick(instance)
    shard = asked.run_requests[0].partition_key
    assert [list(request.partition_keys) for request in asked.dynamic_partitions_requests] == [[shard]]
    assert asked.asset_events[0].asset_key == dg.AssetKey("inbox")


def test_known_content_under_another_name_or_twice_is_no_new_shard(workspace, instance):
    first = drop(workspace, "a.mp4", b"content")
    put_shard(workspace, "s-000000000001", [first])
    first.rename(workspace.inbox / "renamed.mp4")
    drop(workspace, "copy.mp4", b"content")
    asked, _ = tick(instance)
    assert isinstance(asked, dg.SkipReason) and "no new files" in asked.skip_message


def test_a_file_moved_between_plan_and_run_keeps_its_shard(workspace):
    moved = drop(workspace, "a.mp4", b"content")
    (shard,) = plan_new_shards(workspace)
    (workspace.inbox / "folder").mkdir()
    moved.rename(workspace.inbox / "folder" / "b.mp4")
    assert plan_new_shards(workspace) == [shard]
    assert planned_files(workspace, shard) == [workspace.inbox / "folder" / "b.mp4"]


def test_withdrawn_content_does_not_come_back_under_another_name(workspace, instance):
    file = drop(workspace, "again.mp4", b"withdrawn content")
    other = drop(workspace, "other.mp4", b"other")
    tombstone = {
        "target": "x",
        "selector": "clip_id",
        "clip_ids": [fingerprint(file)[:16]],
        "source_sha256": [],
        "reason": "r",
        "when": "w",
    }
    workspace.tombstones.write_text(json.dumps(tombstone) + "\n")
    asked, _ = tick(instance)
    assert planned_files(workspace, asked.run_requests[0].partition_key) == [other]


def test_a_file_is_withdrawn_by_its_hash_and_not_by_that_of_a_range_of_it():
    whole, part = "ab" * 32, "cd" * 8
    by_name = Tombstone("n", "source_name", ("ef" * 8,), (whole,), "r", "w")
    by_range = Tombstone(part, "clip_id", (part,), (), "r", "w")
    assert is_withdrawn_content(whole, [by_name]) and not is_withdrawn_content(whole, [by_range])


class Runs:
    """An instance whose ingest runs of one shard ended as told, seconds ago."""

    def __init__(self, ended: list[float], active: bool = False):
        self.ended, self.active = ended, active

    def get_run_records(self, filters, limit):
        assert filters.job_name == "ingest" and filters.tags == {"dagster/partition": "s-1"}
        return [_Record(end, self.active and n == 0) for n, end in enumerate(self.ended)][:limit]


class _Record:
    def __init__(self, end, active):
        self.end_time = None if active else end
        self.dagster_run = type("Run", (), {"is_finished": not active, "run_id": "r"})()


@pytest.mark.parametrize(
    ("runs", "key", "note"),
    [
        (Runs([]), "s-1/0", None),
        (Runs([1000.0], active=True), None, "being ingested"),
        (Runs([1000.0 - FIRST_PAUSE + 1]), None, "tried again in 1 s"),
        (Runs([1000.0 - FIRST_PAUSE]), "s-1/1", None),
        (Runs([1000.0 - FIRST_PAUSE, 10.0]), None, "tried again in 60 s"),
        (Runs([5000.0]), "s-1/1", None),  # the clock was set back
        (Runs([1.0] * ATTEMPTS), None, f"failed {ATTEMPTS} times"),
    ],
    ids=["new", "running", "just failed", "failed", "failed twice", "clock set back", "failed too often"],
)
def test_a_failed_shard_is_asked_for_again_with_growing_pauses(runs, key, note):
    asked = ingest_requests(runs, "ingest", ["s-1"], now=1000.0)
    assert [request.run_key for request in asked.runs] == ([key] if key else [])
    assert [note in line for line in asked.notes] == ([True] if note else [])


def test_dagsters_own_records_of_a_failed_run_are_understood(workspace, instance):
    """With real runs: one that waits keeps the shard from being asked for, one that failed brings it back."""
    drop(workspace, "a.mp4", b"a")
    asked, _ = tick(instance)
    shard = asked.run_requests[0].partition_key
    run = instance.create_run_for_job(_nothing, tags={"dagster/partition": shard})
    waits, _ = tick(instance)
    assert isinstance(waits, dg.SkipReason) and f"{shard} is being ingested" in waits.skip_message
    instance.report_run_failed(run)
    paused, _ = tick(instance)
    assert "tried again in" in paused.skip_message
    again = ingest_requests(instance, "ingest", [shard], now=time.time() + FIRST_PAUSE)
    assert [request.run_key for request in again.runs] == [f"{shard}/1"]


@dg.op
def nothing():
    pass


@dg.job(name="ingest")
def _nothing():
    nothing()
