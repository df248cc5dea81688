"""What the demo's inbox is filled with, and what of it is rendered again."""

import json

import cv2
import numpy as np
import pytest

from assets.core.workspace import Workspace
from media import decode_clip
from orchestration.demo.inbox_corpus import fill_inbox, missing_clips
from profiles import load_profile

SETTINGS = ["demo.world=people", "demo.clean=2", "demo.broken_per_kind=0", "demo.frames=9", "demo.seed=40"]


def test_an_inbox_of_people_is_filled_once_and_goes_on_where_it_was(tmp_path):
    workspace = Workspace(tmp_path, load_profile("laptop", SETTINGS))
    demo = workspace.profile.demo
    assert demo is not None and [clip.seed for clip in missing_clips(workspace, demo)] == [40, 41]
    fill_inbox(workspace, demo, tmp_path / "progress.json")
    assert missing_clips(workspace, demo) == []
    made = workspace.inbox / "h0000041-clean.mp4"
    assert decode_clip(made.read_bytes(), 16.0).frames.shape == (9, 64, 64, 3)
    assert json.loads(made.with_name(f"{made.name}.json").read_text())["identity"] == "person-41"
    assert (workspace.inbox / "truncated.mp4").is_file()
    made.unlink()
    assert [clip.name for clip in missing_clips(workspace, demo)] == [made.name]


@pytest.mark.timeout(180)
def test_a_process_whose_opencv_runs_threads_fills_an_inbox(tmp_path):
    """Children that were forked beside those threads waited for ever for a lock that one of them held."""
    workspace = Workspace(tmp_path, load_profile("laptop", ["demo.clean=9", "demo.broken_per_kind=0", "demo.frames=5"]))
    demo, threads = workspace.profile.demo, cv2.getNumThreads()
    assert demo is not None
    cv2.setNumThreads(2)
    try:
        cv2.GaussianBlur(np.zeros((2048, 2048, 3), np.uint8), (0, 0), 3)
        fill_inbox(workspace, demo, tmp_path / "progress.json")
    finally:
        cv2.setNumThreads(threads)
    assert missing_clips(workspace, demo) == []
