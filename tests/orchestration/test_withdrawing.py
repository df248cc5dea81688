"""`omnihuman withdraw` names the frozen sets that hold what is withdrawn, which no withdrawal takes them out of."""

import pandas as pd
import pytest

from assets.core.workspace import Workspace
from curation.intake.ingest import ingest_shard
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from media import encode_clip
from orchestration.past.withdrawing import exposure_of, withdraw_clips
from profiles import load_profile
from puppets import PuppetKeypoints, render


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Three clips in a shard; two of the files, and a stranger's, are a test set."""
    home = Workspace(tmp_path, load_profile("laptop", []))
    local = tmp_path / "local"
    for folder in (home.inbox, local):
        folder.mkdir(parents=True)
    for seed in range(4):
        data = encode_clip(render(seed).frames, 16.0)
        if seed < 3:
            (home.inbox / f"{seed}.mp4").write_bytes(data)
        if seed > 0:
            (local / f"{seed}.mp4").write_bytes(data)
    ingest_shard(sorted(home.inbox.iterdir()), home.data("raw_clips"), home.profile, inbox=home.inbox)
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    build_test_set(local, home.data("test_sets") / "mine", "folder", home.profile.video, nobody, PuppetKeypoints())
    return home


def test_frozen_sets_are_named_with_how_much_of_them_it_is_and_what_to_do(workspace):
    assert exposure_of(workspace, "0.mp4") == []
    (found,) = exposure_of(workspace, "1.mp4")
    assert (found.kind, found.name) == ("frozen set", "mine") and "1 of 3 samples" in found.detail
    assert str(workspace.data("test_sets") / "mine") in found.detail and "build it again" in found.detail
    _, _, exposures = withdraw_clips(workspace, "2.mp4", "asked for")
    assert [one.kind for one in exposures] == ["frozen set"]
