"""`omnihuman curate`: from the inbox to subsets, and nothing further."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

import puppets
from assets.core.workspace import Workspace
from media import encode_clip
from orchestration.demo.curate import outcome
from profiles import load_profile
from tests import forked

ROOT = Path(__file__).parents[2]
PROFILE = load_profile("laptop", [])


@pytest.mark.end_to_end
def test_clips_are_curated_without_training_and_a_second_time_nothing_is_computed(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for seed, kind in ((1, "clean"), (2, "clean"), (3, "no_audio"), (4, "still")):
        made = puppets.render(seed, kind)
        (inbox / f"{kind}-{seed}.mp4").write_bytes(encode_clip(made.frames, made.fps, made.audio))
    (inbox / "notes.mp4").write_text("no film")
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", "curate"]
    environment = os.environ | {"OMNIHUMAN_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    first, second = (forked.run(command, cwd=ROOT, env=environment, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    said = " ".join(first.stdout.split())
    assert (
        "all 4 clips" in said
        and "text 3 clips" in said
        and "audio 2 clips" in said
        and "3 of 3 assets computed" in said
    )
    assert "quarantined:" in said and "nothing was trained" in said
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"raw_clips", "clip_scores", "filtered_subsets"}
    assert "0 of 3 assets computed" in " ".join(second.stdout.split()), second.stdout


def test_people_whom_the_detector_does_not_know_are_told_of(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path, PROFILE)
    monkeypatch.setattr("orchestration.demo.curate.count_lines", lambda workspace: ["all 1 clips"])
    scores, raw = workspace.data("clip_scores", "s-1"), workspace.data("raw_clips", "s-1")
    for folder in (scores, raw):
        folder.mkdir(parents=True)
    pd.DataFrame({"clip_id": ["a"], "person_by": ["opencv-frontal-faces"]}).to_parquet(scores / "scores.parquet")
    reasons = ["held_out", "too_short", "held_out"]
    refused = {
        "reason": reasons,
        "source_name": list("xyz"),
        "message": ["leave it out", "give a longer clip", "leave it out"],
    }
    pd.DataFrame(refused).to_parquet(raw / "quarantine.parquet")
    lines = outcome(workspace)
    assert lines[:2] == ["quarantined: held_out 2, too_short 1", "  x: leave it out"]
    assert lines[5].startswith("note: 1 of 1 clips show people")
