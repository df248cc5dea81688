"""From shard to snapshot: windows, features that are reused, and shards that are left out with a reason."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import puppets
from curation.bucket import to_bucket
from curation.features import build_features
from curation.ingest import find_new_clips, ingest_shard
from curation.report import contact_sheet, funnel_chart, score_histograms
from curation.scores import columns_of, score_shard
from curation.snapshot import freeze_snapshot
from curation.storage import CurationError
from curation.subsets import select_subsets
from curation.tensor_rows import TensorRows
from curation.windows import choose_windows
from media import whole_directory


@pytest.mark.parametrize("frames", [17, 21, 25, 40, 100])
def test_windows_do_not_overlap_and_references_keep_the_gap_where_they_can(frames, laptop):
    video = laptop.video
    for seed in range(20):
        windows = choose_windows(f"{seed:064x}", frames, video)
        assert windows == choose_windows(f"{seed:064x}", frames, video)
        assert len(windows) == min(video.windows_per_clip, frames // video.frames)
        starts = [window.start for window in windows]
        assert all(b - a >= video.frames for a, b in zip(starts[:-1], starts[1:], strict=True))
        for window in windows:
            last = window.start + video.frames - 1
            assert window.start >= 0 and last < frames and 0 <= window.reference_frame < frames
            distance = max(window.start - window.reference_frame, window.reference_frame - last)
            assert window.reference_outside == (distance >= video.reference_gap)
            assert window.reference_outside == (frames > 17)
    assert choose_windows("0" * 64, 16, video) == []


def test_the_bucket_is_a_centre_crop(laptop):
    frames = np.zeros((2, 80, 120, 3), np.uint8)
    frames[:, :, 20:100] = 200  # the middle square
    assert (to_bucket(frames, laptop.video) == 200).all()
    same = puppets.render(0).frames
    assert to_bucket(same, laptop.video) is same
    assert to_bucket(np.zeros((1, 65, 63, 3), np.uint8), laptop.video).shape == (1, 64, 64, 3)


def test_tensor_rows_is_a_safetensors_file(tmp_path):
    path = tmp_path / "x.safetensors"
    rows = TensorRows(path, {"a": ((3, 2), "float16"), "flags": ((3,), "uint8"), "b": ((3, 1), "float32")})
    rows.arrays["a"][1] = [1.5, -2.0]
    rows.arrays["flags"][:] = [1, 0, 1]
    rows.arrays["b"][2] = 0.1
    rows.close()
    found = load_file(path)
    assert found["a"].tolist() == [[0, 0], [1.5, -2.0], [0, 0]] and found["a"].dtype == np.float16
    assert found["flags"].tolist() == [1, 0, 1] and found["b"][2, 0] == np.float32(0.1)


def test_a_directory_is_replaced_whole_or_not_at_all(tmp_path):
    for text in ("old", "new"):
        with whole_directory(tmp_path / "d") as folder:
            (folder / "f").write_text(text)
    with pytest.raises(RuntimeError), whole_directory(tmp_path / "d") as folder:
        (folder / "f").write_text("half")
        raise RuntimeError
    assert (tmp_path / "d" / "f").read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["d"]


class Workspace:
    """A shard taken through every step of curation."""

    def __init__(self, root: Path, inbox: Path, profile, encoders):
        self.root, self.inbox, self.profile, self.encoders = root, inbox, profile, encoders
        self.shards: list[str] = []

    def ingest(self) -> str:
        new = find_new_clips(self.inbox, self.root / "raw")
        name = ingest_shard(new, self.root / "raw", self.profile, inbox=self.inbox).name
        self.shards.append(name)
        self.score(name)
        return name

    def score(self, name: str) -> None:
        raw, scores = self.root / "raw" / name, self.root / "scores" / name
        score_shard(raw, scores, puppets.PuppetKeypoints(), self.profile)
        select_subsets(
            raw / "clips.parquet", scores / "scores.parquet", self.root / "subsets" / name, self.profile.curation
        )

    def features(self, name: str):
        raw, scores, features = (self.root / part / name for part in ("raw", "scores", "features"))
        return build_features(raw, scores, features, self.profile, encoders=self.encoders)

    def freeze(self) -> str:
        roots = [self.root / part for part in ("raw", "subsets", "features")]
        return freeze_snapshot(self.shards, *roots, self.root / "snapshot", self.profile)

    def snapshot(self) -> dict:
        return json.loads((self.root / "snapshot" / "snapshot.json").read_text())


@pytest.fixture
def workspace(tmp_path, inbox, tiny_encoders, loaded_encoders) -> Workspace:
    return Workspace(tmp_path, inbox, tiny_encoders, loaded_encoders)


def test_a_shards_tables_and_features_line_up(workspace, put_puppet):
    for seed, kind in enumerate(["clean", "no_audio", "still", "hidden_arms"]):
        put_puppet(f"{kind}.mp4", seed=seed, kind=kind)
    name = workspace.ingest()
    report = workspace.features(name)
    raw, scores, features = (workspace.root / part / name for part in ("raw", "scores", "features"))
    clips = pd.read_parquet(raw / "clips.parquet").set_index("clip_id")
    table = pd.read_parquet(scores / "scores.parquet")
    columns = columns_of(workspace.profile.curation.scores)
    assert table["keypoints_frames"].tolist() == [25] * 4 and set(columns) <= set(table.columns)
    samples, data = pd.read_parquet(features / "samples.parquet"), load_file(features / "features.safetensors")
    assert report.samples == report.encoded == len(samples) == 4
    assert data["latents"].shape == (4, 16, 5, 8, 8) and data["latents"].dtype == np.float16
    assert data["reference_latents"].shape == (4, 16, 1, 8, 8)
    assert data["text"].shape == (4, 32, 384) and data["null_text"].shape == (32, 384)
    assert data["audio"].shape == (4, 17, 3, 16) and data["keypoints"].shape == (4, 17, 133, 3)
    for row, sample in enumerate(samples.itertuples()):
        has_audio = clips.loc[sample.clip_id, "has_audio"]
        assert bool(data["has_audio"][row]) == has_audio == bool(np.abs(data["audio"][row]).max())
        puppet = puppets.render(*_seed_and_kind(clips.loc[sample.clip_id, "source_name"]))
        expected = puppet.joints[sample.window_start : sample.window_start + 17]
        if not np.isnan(expected).any():
            assert np.abs(data["keypoints"][row][:, [7, 9, 8, 10], :2] - expected).max() < 1.0
    histogram = score_histograms(table, workspace.profile.curation)
    funnel = json.loads((workspace.root / "subsets" / name / "funnel.json").read_text())
    assert histogram.startswith(b"\x89PNG") and funnel_chart(funnel).startswith(b"\x89PNG")


def _seed_and_kind(source_name: str) -> tuple[int, str]:
    kind = Path(source_name).stem
    return ["clean", "no_audio", "still", "hidden_arms"].index(kind), kind


def test_unchanged_features_are_reused_and_changed_captions_are_not(workspace, put_puppet):
    files = [put_puppet(f"{seed}.mp4", seed=seed) for seed in range(2)]
    name = workspace.ingest()
    first = workspace.features(name)
    again = workspace.features(name)
    assert (again.reused, again.encoded, again.features_sha256) == (2, 0, first.features_sha256)
    clips = workspace.root / "raw" / name / "clips.parquet"
    table = pd.read_parquet(clips)
    table.loc[0, "caption"] = "Somebody else."
    table.to_parquet(clips)
    before = load_file(workspace.root / "features" / name / "features.safetensors")
    changed = workspace.features(name)
    after = load_file(workspace.root / "features" / name / "features.safetensors")
    assert (changed.reused, changed.encoded) == (1, 1) and len(files) == 2
    assert (before["text"][1] == after["text"][1]).all() and (before["text"][0] != after["text"][0]).any()
    assert (before["latents"][1] == after["latents"][1]).all()


def test_a_broken_shard_is_excluded_with_its_reason_and_blocks_nobody(workspace, put_puppet):
    names = []
    for seed in range(2):
        put_puppet(f"{seed}.mp4", seed=seed)
        names.append(workspace.ingest())
        workspace.features(names[-1])
    whole = workspace.freeze()
    first = workspace.snapshot()
    assert first["counts"] == {"clips": 2, "text": 2, "audio": 2, "pose": 2} and first["excluded"] == []
    assert workspace.freeze() == whole and workspace.snapshot() == first
    file = workspace.root / "features" / names[0] / "features.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"\x99")
    assert workspace.freeze() != whole
    (excluded,) = workspace.snapshot()["excluded"]
    assert excluded["shard"] == names[0] and "features.safetensors" in excluded["reason"]
    assert names[0] in (workspace.root / "snapshot" / "card.md").read_text()
    file.write_bytes(good)
    shutil.rmtree(workspace.root / "subsets" / names[1])
    workspace.freeze()
    (excluded,) = workspace.snapshot()["excluded"]
    assert excluded["shard"] == names[1] and excluded["reason"].startswith("no table subsets/")
    rows = pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")
    assert rows["shard"].tolist() == [names[0]] and rows["row"].tolist() == [0]


def test_shards_of_other_predicates_or_of_nothing_leave_no_snapshot(workspace, put_puppet):
    put_puppet("a.mp4")
    name = workspace.ingest()
    workspace.features(name)
    other = workspace.profile.curation.model_copy(update={"text": "motion >= 0"})
    workspace.profile = workspace.profile.model_copy(update={"curation": other})
    with pytest.raises(CurationError, match=f"{name}: its subsets come from other predicates"):
        workspace.freeze()
    assert not (workspace.root / "snapshot").exists()


def test_a_shard_without_clips_goes_through_every_step(workspace):
    (workspace.inbox / "text.mp4").write_text("no")
    name = workspace.ingest()
    assert workspace.features(name).samples == 0
    with pytest.raises(CurationError, match="no sample to train on"):
        workspace.freeze()


def test_a_contact_sheet_takes_pictures_of_any_size():
    import cv2

    pictures = [puppets.render(0).frames[0], np.zeros((90, 160, 3), np.uint8), np.zeros((10, 5, 3), np.uint8)]
    data = contact_sheet(pictures, ["puppet", "wide", "small"], columns=2)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (2 * 146, 2 * 232, 3)
    with pytest.raises(ValueError, match="one label per picture"):
        contact_sheet(pictures, ["a"])
