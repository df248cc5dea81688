"""Only clips that a subset keeps are encoded, and what stands is not thrown away by a threshold."""

import shutil

import numpy as np
import pandas as pd
import pytest

from curation.features.encoders import ConditionEncoders
from curation.features.shard_features import build_features
from curation.tables.storage import CurationError
from tests.curation.shard_workspace import stored

LONG, ALL = "frames >= 20", "frames >= 1"


@pytest.fixture
def selected(workspace, put_puppet, monkeypatch):
    """A shard of a clip of 17 frames and one of 25, and how to choose among them: what is encoded is listed."""
    put_puppet("short.mp4", seed=0, frames=17)
    put_puppet("long.mp4", seed=1, frames=25)
    name, asked, encode = workspace.ingest(), [], ConditionEncoders.encode
    monkeypatch.setattr(
        ConditionEncoders, "encode", lambda self, part, *rest: asked.append(part) or encode(self, part, *rest)
    )
    workspace.text = lambda predicate: choose(workspace, name, predicate)
    return workspace, name, asked


def choose(workspace, name, predicate):
    curation = workspace.profile.curation.model_copy(update={"text": predicate, "audio": predicate, "pose": predicate})
    workspace.profile = workspace.profile.model_copy(update={"curation": curation})
    workspace.score(name)


def build(workspace, name):
    raw, scores, subsets, features = (workspace.root / part / name for part in ("raw", "scores", "subsets", "features"))
    return build_features(raw, scores, features, workspace.profile, encoders=workspace.encoders, subsets_dir=subsets)


def test_thresholds_up_and_down_encode_each_clip_once_and_train_on_the_same_rows(selected):
    workspace, name, asked = selected
    folder = workspace.root / "features" / name
    workspace.text(ALL)
    build(workspace, name)
    whole, places = stored(folder), pd.read_parquet(folder / "samples.parquet").set_index("clip_id")["row"]
    shutil.rmtree(folder)
    asked.clear()
    workspace.text(LONG)
    first = build(workspace, name)
    (row,) = pd.read_parquet(folder / "samples.parquet").itertuples()
    assert (first.samples, first.left_out, asked) == (1, 1, ["latents", "audio"])
    alone = stored(folder)
    for tensor in alone.keys() - {"null_text"}:  # batches of one round otherwise
        here, there = alone[tensor][0].astype(float), whole[tensor][places[row.clip_id]]
        assert np.abs(here - there).max() < 0.02, f"{tensor} as where all are encoded"
    workspace.freeze()
    kept = pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")
    assert list(kept["clip_id"]) == [row.clip_id]
    workspace.text(ALL)
    with pytest.raises(
        CurationError, match="its features lack 1 clips that its subsets keep .* build the features again"
    ):
        workspace.freeze()
    second = build(workspace, name)
    assert (second.samples, second.reused, second.encoded, second.left_out, len(asked)) == (2, 1, 1, 0, 4)
    row_now = pd.read_parquet(folder / "samples.parquet").set_index("clip_id")["row"][row.clip_id]
    both = stored(folder)
    assert all(np.array_equal(both[t][row_now], alone[t][0]) for t in alone.keys() - {"null_text"}), "copied to the bit"
    workspace.freeze()
    assert len(pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")) == 2
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    workspace.text(LONG)
    third = build(workspace, name)
    assert (third.samples, third.encoded, third.features_sha256) == (2, 0, second.features_sha256)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written, "a stricter threshold costs no file"
    workspace.freeze()
    pd.testing.assert_frame_equal(
        pd.read_parquet(workspace.root / "snapshot" / "samples.parquet").drop(columns="row"), kept.drop(columns="row")
    )


def test_a_shard_of_which_no_subset_keeps_a_clip_loads_no_encoder(selected):
    workspace, name, asked = selected
    workspace.text("frames >= 99")
    workspace.encoders = None
    report = build(workspace, name)
    assert (report.samples, report.left_out, report.bytes, asked) == (0, 2, 0, [])
    assert not list((workspace.root / "features" / name).glob("*.safetensors"))
    with pytest.raises(CurationError, match="no clip is in the text subset"):
        workspace.freeze()
