"""Frozen test sets out of folders that are named as the real sets are, and that meet no training data."""

import json

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.errors import CurationError
from curation.intake.ingest import ingest_shard
from curation.intake.real_clips import BENCHMARK_CLIPS, TRAINING_CLIPS
from curation.snapshot import frozen_sets
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.identities import identity_by_name, known_identities, why_not
from curation.snapshot.overlap import Training, find_overlap, training_content
from media import decode_clip, encode_clip
from media.frozen_set import FrozenSetError, load_frozen_set
from media.keypoints.keypoint_file import read_keypoints

NOBODY = Training(pd.DataFrame(columns=["clip_id"]), "all ingested clips")


@pytest.fixture
def celebv(tmp_path, puppet_bytes):
    folder = tmp_path / "CelebV-HQ" / "videos"
    folder.mkdir(parents=True)
    for seed, name in enumerate(["M2Ohb0FAaJU_1.mp4", "M2Ohb0FAaJU_2.mp4", "-_abcDEF012_0.mp4", "readme.mp4"]):
        (folder / name).write_bytes(puppet_bytes(seed))
    return folder.parent


@pytest.fixture
def ravdess(tmp_path, puppet_bytes):
    folder = tmp_path / "RAVDESS"
    names = [
        "01-01-01-01-01-01-01.mp4",
        "01-01-03-01-02-01-02.mp4",
        "02-01-01-01-01-01-03.mp4",
        "01-02-01-01-01-01-04.mp4",
        "03-01-01-01-01-01-05.wav",
        "01-01-02-01-01-01-06.mp4",
    ]
    for seed, name in enumerate(names):
        actor = folder / f"Actor_{name[18:20]}"
        actor.mkdir(parents=True, exist_ok=True)
        (actor / name).write_bytes(puppet_bytes(20 + seed))
    return folder


def test_of_whom_the_detector_does_not_know_there_is_no_pose_and_that_is_said(tmp_path, puppet_bytes, laptop):
    local, noise = tmp_path / "local", np.random.default_rng(0).integers(0, 256, (25, 64, 64, 3), dtype=np.uint8)
    local.mkdir()
    (local / "puppet.mp4").write_bytes(puppet_bytes(0))
    (local / "stranger.mp4").write_bytes(encode_clip(noise, 16.0))
    made = build_test_set(local, tmp_path / "set", "folder", laptop.video, NOBODY, puppets.PuppetKeypoints())
    assert {sample.name for sample in made.samples if sample.pose} == {"puppet.mp4"} and len(made) == 2
    assert {sample.name: sample.people for sample in made.samples} == {"puppet.mp4": 1, "stranger.mp4": 0}
    assert set(made.skipped) == {"stranger.mp4, its pose", "stranger.mp4, its sound"}
    assert "puppet-colours finds nobody" in made.skipped["stranger.mp4, its pose"]


def test_names_of_the_real_sets_tell_who_is_seen():
    assert identity_by_name("celebv-hq", "x/-_abcDEF012_0.mp4") == "celebv-hq:-_abcDEF012"
    assert identity_by_name("ravdess", "Actor_12/01-01-06-01-02-01-12.mp4") == "ravdess:12"
    assert (
        identity_by_name("cyberhost", "person_7/clip.mp4") == "person_7"
        and identity_by_name("folder", "clip.mp4") == ""
    )
    assert "speech" in why_not("ravdess", "01-02-06-01-02-01-12.mp4") and "picture and sound" in why_not(
        "ravdess", "03-01-06-01-02-01-12.wav"
    )
    assert why_not("cyberhost", "clip.mp4") and not why_not("cyberhost", "p/clip.mp4")
    for name in ("019_R7jm0-R9N_o.mp4", "clips/R7jm0-R9N_o.mp4", "R7jm0-R9N_o_00:01:02_00:01:09.mp4"):
        assert identity_by_name("emtd", name) == "emtd:R7jm0-R9N_o" and not why_not("emtd", name)
    assert identity_by_name("emtd", "speaker 3/take.mp4") == "speaker 3" and why_not("emtd", "take.mp4")
    assert known_identities("x/019_R7jm0-R9N_o.mp4", "ann") == {"emtd:R7jm0-R9N_o", "ann"}


def test_a_sample_has_a_reference_outside_its_window_its_sound_and_its_pose(celebv, tmp_path, laptop):
    made = build_test_set(celebv, tmp_path / "set", "celebv-hq", laptop.video, NOBODY, puppets.PuppetKeypoints())
    assert len(made) == 3 and made.manifest["identity"].nunique() == 2
    assert list(made.skipped) == ["videos/readme.mp4"]
    sample = next(sample for sample in made.samples if sample.name == "videos/M2Ohb0FAaJU_1.mp4")
    truth = puppets.render(0)
    assert sample.reference_frame == 16 + laptop.video.reference_gap
    assert np.abs(made.reference(sample).astype(int) - truth.frames[sample.reference_frame]).mean() < 3
    sound = made.audio(sample)
    assert len(sound) == 17_000 and np.corrcoef(sound, truth.audio[:17_000])[0, 1] > 0.95
    pose, frames = read_keypoints(made.path / sample.pose), decode_clip(made.path / sample.clip, 16.0).frames
    assert (pose.width, pose.height, pose.fps, len(pose.points)) == (64, 64, 16.0, 17)
    assert np.array_equal(pose.points, puppets.PuppetKeypoints()(frames))
    record = json.loads((made.path / "test_set.json").read_text())
    assert all(sample.pose for sample in made.samples)
    assert (record["kind"], record["samples"], record["identities"], record["format"]) == ("celebv-hq", 3, 2, 2)


def test_it_is_frozen(celebv, tmp_path, laptop):
    first = build_test_set(celebv, tmp_path / "one", "celebv-hq", laptop.video, NOBODY, puppets.PuppetKeypoints())
    again = build_test_set(celebv, tmp_path / "two", "celebv-hq", laptop.video, NOBODY, puppets.PuppetKeypoints())
    assert first.digest == again.digest == load_frozen_set(tmp_path / "one").digest
    for column in ("audio", "clip", "pose", "reference"):
        file = tmp_path / "one" / first.manifest[column][0]
        before = file.read_bytes()
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(FrozenSetError, match=f"{file} is missing or not the frozen file.*build it again"):
            load_frozen_set(tmp_path / "one")
        file.write_bytes(before)
    load_frozen_set(tmp_path / "one")


def test_a_limit_takes_as_many_people_as_possible(celebv, tmp_path, laptop):
    made = build_test_set(celebv, tmp_path / "set", "celebv-hq", laptop.video, NOBODY, limit=2)
    assert made.manifest["identity"].nunique() == 2


def test_no_more_files_are_decoded_than_a_limit_takes_and_that_is_recorded(
    ravdess, tmp_path, laptop, puppet_bytes, monkeypatch
):
    """Three people, of whom one has two files; they are looked at one at a time."""
    monkeypatch.setattr(frozen_sets, "LOOK_AHEAD", 1)
    (ravdess / "Actor_06" / "01-01-03-01-01-01-06.mp4").write_bytes(puppet_bytes(30))
    broken = ravdess / "Actor_01" / "01-01-01-01-01-01-01.mp4"
    broken.write_bytes(b"no film")
    made = build_test_set(ravdess, tmp_path / "set", "ravdess", laptop.video, NOBODY, limit=2)
    assert set(made.manifest["identity"]) == {"ravdess:02", "ravdess:06"}
    record = json.loads((made.path / "test_set.json").read_text())
    assert record["files"] == 7 and record["files_looked_at"] in (2, 4) and len(made) == 2
    whole = build_test_set(ravdess, tmp_path / "whole", "ravdess", laptop.video, NOBODY)
    assert whole.record.values["files_looked_at"] == 4 and len(whole) == 3
    assert whole.skipped["Actor_01/01-01-01-01-01-01-01.mp4"].startswith("not_video")


def test_ravdess_gives_speech_with_picture_and_sound_alone(ravdess, tmp_path, laptop):
    made = build_test_set(ravdess, tmp_path / "set", "ravdess", laptop.video, NOBODY)
    assert sorted(made.manifest["identity"]) == ["ravdess:01", "ravdess:02", "ravdess:06"] and len(made.skipped) == 3


@pytest.mark.parametrize("meeting", ["content", "identity by name", "identity by sidecar", "near duplicate"])
def test_what_meets_training_is_refused_and_can_be_left_out(meeting, ravdess, inbox, tmp_path, laptop, puppet_bytes):
    name, data, sidecar = "trained.mp4", puppet_bytes(77), {}
    if meeting == "content":
        data = puppet_bytes(20)
    elif meeting == "identity by name":
        name = "01-01-08-02-02-02-01.mp4"
    elif meeting == "identity by sidecar":
        sidecar = {"identity": "ravdess:01"}
    else:
        data = encode_clip(puppets.render(20).frames, 16, crf=26, pixel_format="yuv420p")
    (inbox / name).write_bytes(data)
    (inbox / f"{name}.json").write_text(json.dumps(sidecar))
    ingest_shard([inbox / name], tmp_path / "raw", laptop, inbox=inbox)
    training = training_content(tmp_path / "raw", tmp_path / "no snapshot")
    with pytest.raises(CurationError, match="1 of 3 files .*Actor_01/01-01-01-01-01-01-01.mp4.*--exclude-overlap"):
        build_test_set(ravdess, tmp_path / "set", "ravdess", laptop.video, training)
    assert not (tmp_path / "set").exists()
    made = build_test_set(ravdess, tmp_path / "set", "ravdess", laptop.video, training, exclude_overlap=True)
    assert sorted(made.manifest["identity"]) == ["ravdess:02", "ravdess:06"]
    reason = made.skipped["Actor_01/01-01-01-01-01-01-01.mp4"]
    assert {"content": "same file", "near duplicate": "nearly the same"}.get(
        meeting, "same identity (ravdess:01)"
    ) in reason
    assert find_overlap(made.manifest, training) == {}


def test_an_empty_folder_and_an_unknown_kind_say_what_to_do(tmp_path, laptop):
    with pytest.raises(CurationError, match="0 samples are left of .*there is no other clip"):
        build_test_set(tmp_path, tmp_path / "set", "folder", laptop.video, NOBODY)
    with pytest.raises(CurationError, match="choose one of celebv-hq, ravdess"):
        build_test_set(tmp_path, tmp_path / "set", "vox", laptop.video, NOBODY)
    with pytest.raises(CurationError, match="give the local copy"):
        build_test_set(tmp_path / "none", tmp_path / "set", "folder", laptop.video, NOBODY)


def test_nobody_of_the_packaged_benchmark_is_seen_in_training():
    held_out, trained = ({clip.identity for clip in clips} - {""} for clips in (BENCHMARK_CLIPS, TRAINING_CLIPS))
    assert held_out and trained and not held_out & trained
