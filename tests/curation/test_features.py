"""From shard to snapshot: windows, buckets, features, and shards that are left out with a reason."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import puppets
from curation.bucket import choose_bucket, to_bucket
from curation.errors import CurationError
from curation.features.windows import choose_windows
from curation.pages.figures import contact_sheet, funnel_chart, score_histograms
from curation.scores.registry import columns_of
from curation.tables.safetensors_fill import TensorRows
from media import encode_clip, whole_directory
from omnihuman.autoencoder import encode_video, to_pixels
from profiles import load_profile
from profiles.schema import Bucket
from tests.curation.shard_workspace import stored

FILE = "features-64x64x17@16-000000.safetensors"


def sha256_of(seed: int) -> str:
    """Placement reads the first digits of a hash: counting up in the last ones would test one placement many times."""
    return hashlib.sha256(str(seed).encode()).hexdigest()


@pytest.mark.parametrize("frames", [17, 21, 25, 40, 100])
def test_windows_do_not_overlap_and_references_keep_the_gap_where_they_can(frames, laptop):
    video = laptop.video
    for seed in range(20):
        windows = choose_windows(sha256_of(seed), frames, video)
        assert windows == choose_windows(sha256_of(seed), frames, video)
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


def test_a_gap_of_zero_takes_the_reference_from_anywhere_and_records_where(laptop):
    video = laptop.video.model_copy(update={"reference_gap": 0})
    windows = [choose_windows(sha256_of(seed), 25, video)[0] for seed in range(200)]
    inside = [w.start <= w.reference_frame < w.start + 17 for w in windows]
    assert [w.reference_outside for w in windows] == [not i for i in inside]
    # Any of 25 frames, 17 of which lie inside: 136 of 200, standard error 6.6.
    assert abs(sum(inside) - 136) < 20
    assert all(0 <= w.reference_frame < 25 for w in windows)


def test_a_fair_share_of_short_clips_has_motion_frames_before_its_window(laptop):
    windows = [choose_windows(sha256_of(seed), 25, laptop.video)[0] for seed in range(200)]
    assert all(w.has_motion == (w.start >= 5) for w in windows)
    assert 0.3 < np.mean([w.has_motion for w in windows]) < 0.6


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
    samples, data = pd.read_parquet(features / "samples.parquet"), stored(features)
    assert report.samples == report.encoded == len(samples) == 4
    assert data["latents"].shape == (4, 16, 5, 8, 8) and data["latents"].dtype == np.float16
    assert data["reference_latents"].shape == (4, 16, 1, 8, 8)
    assert data["motion_latents"].shape == (4, 16, 2, 8, 8)
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


def test_motion_latents_are_the_five_frames_before_the_window_encoded_alone(workspace, put_puppet, loaded_encoders):
    for seed in range(8):
        put_puppet(f"{seed}.mp4", seed=seed)
    name = workspace.ingest()
    workspace.features(name)
    samples = pd.read_parquet(workspace.root / "features" / name / "samples.parquet")
    data = stored(workspace.root / "features" / name)
    assert (
        data["has_motion"].tolist()
        == samples["has_motion"].tolist()
        == [start >= 5 for start in samples["window_start"]]
    )
    assert 0 < samples["has_motion"].sum() < 8, "the test needs both kinds"
    for row, sample in enumerate(samples.itertuples()):
        if not sample.has_motion:
            assert not data["motion_latents"][row].any()
            continue
        clip = workspace.decoded(name, sample.clip_id)
        before = to_pixels(torch.from_numpy(clip[sample.window_start - 5 : sample.window_start])[None])
        expected = encode_video(loaded_encoders.autoencoder, before)[0].float().numpy()
        assert np.abs(data["motion_latents"][row] - expected).max() < 0.05


class BrightestPoint:
    """A detector for clips of any size: keypoint 0 is the middle of what is bright."""

    name, version = "brightest-point", "1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        found = np.zeros((len(frames), 133, 3), np.float32)
        for row, frame in enumerate(frames.mean(axis=3)):
            y, x = np.nonzero(frame > 128)
            found[row, 0] = (x.mean(), y.mean(), 1.0)
        return found


def test_clips_go_to_the_bucket_of_their_shape_and_length(workspace):
    shapes = [
        {"height": 64, "width": 64, "frames": 17},
        {"height": 64, "width": 96, "frames": 17},
        {"height": 64, "width": 64, "frames": 9},
    ]
    video = workspace.profile.video.model_copy(update={"buckets": tuple(Bucket(**shape) for shape in shapes)})
    curation = workspace.profile.curation.model_copy(update={"text": "motion >= 0", "min_seconds": 0.5})
    workspace.profile = workspace.profile.model_copy(update={"video": video, "curation": curation})
    workspace.detector = BrightestPoint()
    for name, height, width, frames in [
        ("square", 80, 80, 25),
        ("wide", 80, 120, 25),
        ("short", 64, 64, 11),
        ("short wide", 64, 96, 12),
    ]:
        clip = np.full((frames, height, width, 3), 40, np.uint8)
        clip[:, height // 4 : height // 2, width // 2 : 3 * width // 4] = 220
        (workspace.inbox / f"{name}.mp4").write_bytes(encode_clip(clip, 16.0))
    name = workspace.ingest()
    report = workspace.features(name)
    folder = workspace.root / "features" / name
    clips = pd.read_parquet(workspace.root / "raw" / name / "clips.parquet").set_index("clip_id")["source_name"]
    samples = pd.read_parquet(folder / "samples.parquet")
    placed = {clips[s.clip_id]: (s.bucket, s.row) for s in samples.itertuples()}
    wide, short = "64x96x17@16", "64x64x9@16"
    assert placed["square.mp4"] == ("64x64x17@16", 0) and placed["wide.mp4"] == (wide, 0)
    assert {placed["short.mp4"], placed["short wide.mp4"]} == {(short, 0), (short, 1)}
    data = {bucket: stored(folder, bucket) for bucket in (wide, short, "64x64x17@16")}
    assert data[wide]["latents"].shape == (1, 16, 5, 8, 12) and data[short]["latents"].shape == (2, 16, 3, 8, 8)
    assert data[short]["audio"].shape[1] == data[short]["keypoints"].shape[1] == 9
    # The bright box is centred at 5/8 of the width and 3/8 of the height, whatever the bucket.
    assert np.abs(data[wide]["keypoints"][0, :, 0, :2] - (59.5, 23.5)).max() < 1.0
    assert np.abs(data["64x64x17@16"]["keypoints"][0, :, 0, :2] - (39.5, 23.5)).max() < 1.0
    workspace.freeze()
    frozen = pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")
    assert {(s.bucket, s.row) for s in frozen.itertuples()} == set(placed.values())
    assert workspace.snapshot()["buckets"] == {"64x64x17@16": 1, wide: 1, short: 2}
    # Without the wide bucket the others keep their rows, and the snapshot asks for features of the new list.
    workspace.profile = workspace.profile.model_copy(
        update={"video": video.model_copy(update={"buckets": (video.main, video.buckets[2])})}
    )
    with pytest.raises(CurationError, match="its features have buckets.*build them again"):
        workspace.freeze()
    again = workspace.features(name)
    assert report.encoded == 4 and (again.reused, again.encoded) == (3, 1)


@pytest.mark.parametrize(
    ("size", "frames", "expected"),
    [
        ((1920, 1080), 100, (480, 832, 81)), ((1080, 1920), 100, (832, 480, 81)), ((500, 480), 100, (624, 624, 81)),
        ((1920, 1080), 80, (480, 832, 49)), ((1920, 1080), 50, (480, 832, 49)), ((1080, 1920), 60, (480, 832, 49)),
        ((640, 480), 100, (480, 832, 81)), ((4096, 512), 81, (480, 832, 81)), ((1920, 1080), 3, (480, 832, 49)),
    ],
)  # fmt: skip
def test_the_nearest_bucket_that_a_clip_fills(size, frames, expected):
    video = load_profile("wan2.1-1.3b", []).video
    video = video.model_copy(update={"buckets": (*video.buckets, Bucket(height=480, width=832, frames=49))})
    bucket = choose_bucket(*size, frames, video)  # type: ignore[call-arg]
    assert (bucket.height, bucket.width, bucket.frames) == expected


def test_a_broken_shard_is_excluded_with_its_reason_and_blocks_nobody(workspace, put_puppet):
    names = []
    for seed in range(2):
        put_puppet(f"{seed}.mp4", seed=seed)
        names.append(workspace.ingest())
        workspace.features(names[-1])
    whole = workspace.freeze()
    first = workspace.snapshot()
    samples = pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")
    assert samples["bucket"].tolist() == ["64x64x17@16"] * 2 and first["buckets"] == {"64x64x17@16": 2}
    flags = {"reference_outside": 2, "has_motion": int(samples["has_motion"].sum())}
    assert first["counts"] == {"clips": 2, "text": 2, "audio": 2, "pose": 2, **flags} and first["excluded"] == []
    assert workspace.freeze() == whole and workspace.snapshot() == first
    file = workspace.root / "features" / names[0] / FILE
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"\x99")
    assert workspace.freeze() != whole
    (excluded,) = workspace.snapshot()["excluded"]
    assert excluded["shard"] == names[0] and FILE in excluded["reason"]
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
    # Cells are 132, 232 and 68 wide, and a row holds two squares, 264: one picture a row.
    sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (
        sheet.shape == (3 * 146, 232, 3)
        and (sheet[:146, 132:] == 255).all()
        and (sheet[146 + 20 : 2 * 146 - 4, 4:228] == 0).all()
    )
    both = contact_sheet([pictures[0], pictures[2]], ["puppet", "small"], columns=2)
    assert cv2.imdecode(np.frombuffer(both, np.uint8), cv2.IMREAD_COLOR).shape == (146, 132 + 68, 3)
    with pytest.raises(ValueError, match="one label per picture"):
        contact_sheet(pictures, ["a"])
