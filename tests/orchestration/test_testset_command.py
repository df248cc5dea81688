"""`omnihuman testset build` in a home: of a folder, and of the home's own people whom no training sees."""

import json

import pandas as pd
import pytest

from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.intake.ingest import ingest_shard
from curation.snapshot.held_out_people import is_held_out
from curation.snapshot.withdrawals import withdraw
from media import encode_clip
from media.frozen_set import load_frozen_set
from orchestration.commands.build_test_set import build
from profiles import load_profile
from puppets import render

SHARE = 0.5
NAMES = [f"person {number}" for number in range(40)]
HELD, TRAINED = ([name for name in NAMES if is_held_out(name, SHARE) is held][:4] for held in (True, False))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Eight people of one clip each, whose names decide that some are held out; all are in the text subset."""
    home = Workspace(tmp_path / "home", load_profile("laptop", [f"evaluation.held_out_people={SHARE}"]))
    home.inbox.mkdir(parents=True)
    for seed, who in enumerate(HELD + TRAINED):
        (home.inbox / f"{seed}.mp4").write_bytes(encode_clip(render(seed).frames, 16.0, render(seed).audio))
        (home.inbox / f"{seed}.mp4.json").write_text(json.dumps({"identity": who, "caption": "A person talks."}))
    files = sorted(home.inbox.glob("*.mp4"))
    shard = ingest_shard(files, home.data("raw_clips"), home.profile, inbox=home.inbox).path
    subsets = home.data("filtered_subsets", shard.name)
    subsets.mkdir(parents=True)
    clips = pd.read_parquet(shard / "clips.parquet")
    clips[["clip_id"]].assign(text=True).to_parquet(subsets / "subsets.parquet")
    return home


def held_out(workspace: Workspace, name: str | None = None):
    return build(workspace, "held_out", None, name, None, False, True, None)


def test_people_whom_no_training_sees_are_frozen_unless_they_are_withdrawn(workspace):
    made = held_out(workspace)
    assert made.path == workspace.data("test_sets") / "held_out" and set(made.manifest["identity"]) == set(HELD)
    clips = pd.concat(pd.read_parquet(path) for path in workspace.data("raw_clips").glob("*/clips.parquet"))
    withdraw(workspace.tombstones, clips, HELD[0], "asked for")
    assert set(held_out(workspace).manifest["identity"]) == set(HELD[1:])


def test_a_snapshot_that_lists_them_is_an_error_before_anything_is_built(workspace):
    snapshot = workspace.data("training_snapshot") / "snapshot.json"
    snapshot.parent.mkdir(parents=True)
    for held, left_out in ({}, "0"), ({"held_out": {"share": 0.25}}, "0.25"):
        snapshot.write_text(json.dumps({"digest": "d"} | held))
        with pytest.raises(CurationError, match=f"leaves out {left_out} of all people, and the set would take 0.5"):
            held_out(workspace)
    snapshot.write_text(json.dumps({"digest": "d", "held_out": {"share": 0.6}}))
    assert len(held_out(workspace)) == 4


def test_without_a_share_nobody_is_held_out(workspace):
    nobody = Workspace(workspace.root, load_profile("laptop", []))
    with pytest.raises(CurationError, match=r"set evaluation.held_out_people in the profile"):
        held_out(nobody)


def test_a_detector_that_is_not_there_says_how_to_do_without(workspace, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    for seed in (20, 21):
        (local / f"{seed}.mp4").write_bytes(encode_clip(render(seed).frames, 16.0))
    other = Workspace(workspace.root, load_profile("laptop", ["encoders.keypoints=./none"]))
    with pytest.raises(CurationError, match="there is no such file.*--no-pose builds a set without poses"):
        build(other, "folder", local, "mine", None, False, True, None)
    made = build(other, "folder", local, "mine", None, False, False, None)
    assert load_frozen_set(workspace.data("test_sets") / "mine").digest == made.digest
    with pytest.raises(CurationError, match="needs the folder of its local copy"):
        build(other, "ravdess", None, None, None, False, False, None)
