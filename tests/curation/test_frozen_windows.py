"""What the files of a frozen set hold: windows, references, sound and pose with known answers, and what is done with clips that lack them."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

import puppets
from curation.errors import CurationError
from curation.people.keypoints import Detected
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.frozen_windows import SourceClip, spread_windows
from curation.snapshot.overlap import Training
from media import decode_clip, encode_clip, probe_clip
from media.frozen_set import load_frozen_set
from profiles.schema import Bucket, VideoConfig

NOBODY = Training(pd.DataFrame(columns=["clip_id"]), "all ingested clips")
RATE = 16_000
TALL = VideoConfig(height=96, width=64, frames=17, fps=16.0, buckets=(Bucket(height=96, width=64, frames=17), Bucket(height=64, width=96, frames=9)))  # fmt: skip


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    return folder


def clip(seconds: float, width: int = 64, height: int = 64) -> SourceClip:
    return SourceClip("ab" * 8, "a.mp4", "ab" * 32, "00" * 16, "ann", "", width, height, seconds, True, bytes)


def numbered(frames: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Pictures whose grey value says which they are: 4 times their number."""
    return np.stack([np.full((height, width, 3), 4 * number, np.uint8) for number in range(frames)])


def numbers(frames: np.ndarray) -> list[int]:
    return [round(float(image.mean()) / 4) for image in frames]


def build(local, tmp_path, video, detector=None, **more):
    return build_test_set(local, tmp_path / "set", "folder", video, NOBODY, detector, **more)


@pytest.mark.parametrize(
    ("frames", "most", "starts", "references"),
    [
        (25, 1, [0], [20]),
        (21, 1, [0], [20]),
        (19, 1, [0], [18]),  # nothing keeps the gap: the farthest outside
        (17, 1, [0], [0]),  # nothing outside
        (61, 3, [0, 22, 44], [20, 42, 40]),
        (61, 8, [0, 22, 44], [20, 42, 40]),
        (34, 2, [0, 17], [20, 13]),
        (16, 1, [], []),
    ],
)  # fmt: skip
def test_windows_do_not_overlap_and_references_lie_outside(laptop, frames, most, starts, references):
    windows = spread_windows(clip(frames / 16), laptop.video, most)
    assert [window.start for window in windows] == starts
    assert [window.reference_frame for window in windows] == references
    suffixes = ["-0", "-1", "-2"][: len(starts)] if len(starts) > 1 else [""]
    assert [window.sample_id for window in windows] == ["ab" * 8 + suffix for suffix in suffixes][: len(starts)]


def test_a_window_is_cut_and_shown_frame_by_frame_and_its_sound_with_it(local, tmp_path, laptop):
    tone = np.sin(np.arange(61 * 1000) * 2 * np.pi * 200 / RATE) * np.linspace(0, 0.5, 61 * 1000)
    for crf in (10, 12):
        (local / f"{crf}.mp4").write_bytes(encode_clip(numbered(61), 16.0, tone, crf=crf, audio_bitrate=192_000))
    made = build(local, tmp_path, laptop.video, windows=3)
    assert len(made) == 6 and made.manifest["identity"].nunique() == 2
    for sample in made.samples:
        start = sample.window_start
        assert numbers(made.frames(sample)) == list(range(start, start + 17))
        assert numbers(made.reference(sample)[None]) == [sample.reference_frame]
        sound = made.audio(sample)
        assert len(sound) == 17_000 and np.abs(sound - tone[start * 1000 : start * 1000 + 17_000]).max() < 0.05
        assert sample.loudness == pytest.approx(20 * np.log10(np.sqrt(np.mean(sound**2))), abs=0.01)
        film = probe_clip(made.path / sample.clip)
        assert (film.frames, film.fps, film.has_audio) == (17, 16.0, True)


def test_each_clip_goes_to_its_nearest_bucket_in_the_geometry_of_training(local, tmp_path):
    rng = np.random.default_rng(0)
    small = rng.integers(90, 166, (30, 9, 16, 3), dtype=np.uint8)
    wide = np.stack([cv2.resize(image, (160, 90), interpolation=cv2.INTER_CUBIC) for image in small])
    (local / "wide.mp4").write_bytes(encode_clip(wide, 16.0))
    (local / "tall.mp4").write_bytes(encode_clip(np.ascontiguousarray(wide.transpose(0, 2, 1, 3)), 16.0))
    made = {sample.name: sample for sample in build(local, tmp_path, TALL).samples}
    assert (made["wide.mp4"].bucket, made["tall.mp4"].bucket) == ("64x96x9", "96x64x17")
    assert (made["wide.mp4"].source_width, made["wide.mp4"].source_height) == (160, 90)
    film = decode_clip(tmp_path / "set" / made["wide.mp4"].clip, 16.0).frames
    # 160 x 90 is higher than 96 x 64's shape is wide: 135 of its columns are kept, about the middle.
    truth = cv2.resize(
        decode_clip(local / "wide.mp4", 16.0).frames[4][:, 12:147], (96, 64), interpolation=cv2.INTER_AREA
    )
    assert film.shape == (9, 64, 96, 3) and np.abs(film[4].astype(int) - truth).mean() < 1.5


def test_a_sample_without_sound_or_with_too_little_has_none_and_says_so(local, tmp_path, laptop):
    sound = np.random.default_rng(0).normal(0, 0.1, 17_000).astype(np.float32)
    sounds = {"none": None, "silent": sound * 0, "half": sound[:9000], "nearly": sound[:16_300], "whole": sound}
    for number, (name, samples) in enumerate(sounds.items()):
        (local / f"{name}.mp4").write_bytes(encode_clip(numbered(17) + number, 16.0, samples))
    made = build(local, tmp_path, laptop.video)
    heard = {sample.name: made.audio(sample) for sample in made.samples}
    assert {name for name, samples in heard.items() if samples is not None} == {"nearly.mp4", "whole.mp4"}
    assert len(heard["nearly.mp4"]) == 17_000
    assert set(made.skipped) == {f"{name}.mp4, its sound" for name in ("none", "silent", "half")}
    for sample in made.samples:
        assert np.isfinite(sample.loudness) == (sample.audio != "") == probe_clip(made.path / sample.clip).has_audio


def test_a_face_that_is_lost_in_mid_clip_has_no_confidence_there(local, tmp_path, laptop):
    puppet = puppets.render(0)
    lost = puppet.frames.copy()
    lost[8:] = np.random.default_rng(0).integers(0, 256, lost[8:].shape, dtype=np.uint8)
    (local / "lost.mp4").write_bytes(encode_clip(lost, 16.0, puppet.audio))
    (local / "seen.mp4").write_bytes(encode_clip(puppets.render(1).frames, 16.0))
    made = build(local, tmp_path, laptop.video, puppets.PuppetKeypoints())
    points = {sample.name: made.keypoints(sample) for sample in made.samples}
    assert (points["lost.mp4"][:8, :, 2].max(axis=1) > 0.5).all() and not points["lost.mp4"][8:].any()
    assert (points["seen.mp4"][..., 2].max(axis=1) > 0.5).all()


def test_the_most_faces_that_are_seen_at_once_are_in_the_manifest(local, tmp_path, laptop):
    class Counting(puppets.PuppetKeypoints):
        def detect(self, frames: np.ndarray) -> Detected:
            counts = np.ones(len(frames), np.int64)
            counts[5] = 3
            return Detected(self(frames), counts)

    for seed in range(2):
        (local / f"{seed}.mp4").write_bytes(encode_clip(puppets.render(seed).frames, 16.0))
    assert set(build(local, tmp_path, laptop.video, Counting()).manifest["people"]) == {3}


def test_what_cannot_be_used_is_left_out_with_its_reason_and_the_rest_is_frozen(local, tmp_path, laptop, puppet_bytes):
    for seed in range(2):
        (local / f"{seed}.mp4").write_bytes(puppet_bytes(seed))
    (local / "again.mp4").write_bytes(puppet_bytes(0))
    (local / "broken.mp4").write_bytes(puppet_bytes(2)[:2000])
    (local / "notes.txt").write_text("no film")
    (local / "short.mp4").write_bytes(encode_clip(numbered(9), 16.0))
    (local / "0.mp4.json").write_text(json.dumps({"caption": "Ann talks.", "identity": "ann"}))
    made = build(local, tmp_path, laptop.video)
    assert [sample.caption for sample in made.samples if sample.identity == "ann"] == ["Ann talks."] and len(made) == 2
    assert {name: why.split(":")[0] for name, why in made.skipped.items()} == {
        "again.mp4": "duplicate", "broken.mp4": "not_video", "notes.txt": "not_video", "short.mp4": "too_short",
    }  # fmt: skip


def test_fewer_than_two_samples_are_no_benchmark_and_nothing_is_written(local, tmp_path, laptop, puppet_bytes):
    (local / "0.mp4").write_bytes(puppet_bytes(0))
    (local / "broken.mp4").write_bytes(b"no film")
    with pytest.raises(CurationError, match=r"1 samples are left of .*needs 2 or more \(broken.mp4: .*--windows"):
        build(local, tmp_path, laptop.video)
    assert not (tmp_path / "set").exists() and list(tmp_path.glob(".tmp-*")) == []


def test_a_set_that_cannot_be_built_leaves_the_one_before_as_it_was(local, tmp_path, laptop, puppet_bytes):
    for seed in range(2):
        (local / f"{seed}.mp4").write_bytes(puppet_bytes(seed))
    first = build(local, tmp_path, laptop.video)
    (local / "1.mp4").unlink()
    with pytest.raises(CurationError, match="1 samples are left"):
        build(local, tmp_path, laptop.video)
    assert load_frozen_set(tmp_path / "set").digest == first.digest
