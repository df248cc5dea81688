"""Plans of shards: made once, kept while they wait, dropped when their files change."""

import dataclasses
import os
from pathlib import Path

import pytest

from assets.core.shard_plans import plan_new_shards, planned_files
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from profiles import load_profile


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path, load_profile("laptop", ["curation.shard_clips=3"]))
    found.inbox.mkdir()
    return found


def drop(workspace: Workspace, *names: str) -> None:
    for name in names:
        (workspace.inbox / name).write_bytes(b"content of " + os.fsencode(name))


def test_later_arrivals_change_no_plan_that_waits(workspace: Workspace) -> None:
    drop(workspace, "a.mp4", "b.mp4")
    first = plan_new_shards(workspace)
    assert len(first) == 1
    drop(workspace, "0 early in the alphabet.mp4", "c.mp4", "d.mp4", "e.mp4")
    both = plan_new_shards(workspace)
    assert set(first) < set(both) and len(both) == 3
    assert [p.name for p in planned_files(workspace, first[0])] == ["a.mp4", "b.mp4"]
    assert plan_new_shards(workspace) == sorted(both)


def test_odd_names_survive_a_plan(workspace: Workspace) -> None:
    names = ["- leading.mp4", 'it\'s "quoted"; rm.mp4', os.fsdecode(b"not utf-8 \xff.mp4")]
    drop(workspace, *names)
    (shard,) = plan_new_shards(workspace)
    assert {p.name for p in planned_files(workspace, shard)} == set(names)
    assert all(p.is_file() for p in planned_files(workspace, shard))


def test_a_plan_whose_file_changed_is_made_anew(workspace: Workspace) -> None:
    drop(workspace, "a.mp4", "b.mp4")
    first = plan_new_shards(workspace)
    (workspace.inbox / "b.mp4").write_bytes(b"the copy has finished only now")
    second = plan_new_shards(workspace)
    assert len(second) == 1 and second != first
    (workspace.inbox / "b.mp4").unlink()
    assert [p.name for p in planned_files(workspace, plan_new_shards(workspace)[0])] == ["a.mp4"]


def test_a_shard_that_nobody_planned_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(AssetError, match="python -m assets raw_clips"):
        planned_files(workspace, "s-000000000000")


def test_an_empty_inbox_plans_nothing(workspace: Workspace) -> None:
    assert plan_new_shards(workspace) == []
    assert plan_new_shards(dataclasses.replace(workspace, root=workspace.root / "absent")) == []
