"""Puppet sync on puppets it was not trained on: an offset that is put in is found, and another's sound gets little confidence."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import puppets
from curation.bucket import load_bucket_clip
from curation.errors import CurationError
from curation.people.keypoints import INNER_LIP_BOTTOM, INNER_LIP_TOP
from curation.scores.clip import score_clip
from curation.scores.person.puppet_sync import COLUMNS, PUPPET_SYNC, mouth_centre
from media import encode_clip
from networks.puppet_sync import count_windows, cut_mouths, find_shift
from profiles import resolve_source
from profiles.scores import PuppetSyncConfig, ScoresConfig
from training.recipes.puppet_sync import score as recipe_score

FOLDER = Path(resolve_source("profile:laptop/puppet_sync"))
SEEDS = range(9_500_000, 9_500_010)
FRAMES, FRAME = 33, 1000


def scored(frames, audio, laptop, **config) -> dict:
    """The two columns of a clip that went through H.264 and AAC, as an inbox's do."""
    off = dict.fromkeys(name for name in ScoresConfig.model_fields if name not in ("native_frames", "caption"))
    scores = ScoresConfig(**off | {"puppet_sync": PuppetSyncConfig(**config)})
    clip = load_bucket_clip(encode_clip(frames, 16.0, audio), 64, 64, laptop.video)
    found = score_clip(clip, puppets.PuppetKeypoints(), laptop.video, laptop.transformer.pose_keypoints, scores).values
    return {name: found[name] for name in COLUMNS}


@pytest.fixture(scope="module")
def people():
    return [puppets.render(seed, frames=FRAMES) for seed in SEEDS]


def test_the_recipes_numbers_are_those_of_the_shipped_weights():
    told = json.loads((FOLDER / "RECIPE.json").read_text())["held_out"]
    found = recipe_score(FOLDER, clips=21)
    assert found["offset_within_one_frame"] >= 0.95 and abs(found["auc"] - told["auc"]) < 0.05
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1e6


@pytest.mark.parametrize("frames", [-4, -2, 0, 1, 3])
def test_an_offset_is_found_within_a_frame(frames, people, laptop):
    """A positive one has the mouth come after the sound, as in mouth_audio_lag_frames."""
    for person in people[:5]:
        found = scored(person.frames, np.roll(person.audio, -frames * FRAME), laptop)
        assert abs(found["puppet_sync_offset"] - frames) <= 1


def test_anothers_sound_gets_less_confidence_than_the_own(people, laptop):
    own = [scored(p.frames, p.audio, laptop)["puppet_sync_confidence"] for p in people]
    other = [scored(p.frames, people[i - 1].audio, laptop)["puppet_sync_confidence"] for i, p in enumerate(people)]
    assert np.mean(np.array(own)[:, None] > np.array(other)[None]) >= 0.95
    assert np.median(own) > 2 * np.median(other)


def test_it_has_no_meaning_without_sound_mouth_or_length(people, laptop):
    person = people[0]
    nothing = {name: float("nan") for name in COLUMNS}
    for frames, audio in (
        (person.frames, None),
        (np.zeros_like(person.frames), person.audio),
        (person.frames[:13], person.audio[:13_000]),
    ):
        assert scored(frames, audio, laptop) == pytest.approx(nothing, nan_ok=True)
    assert not np.isnan(scored(person.frames[:13], person.audio[:13_000], laptop, lags=1)["puppet_sync_offset"])


def test_other_weights_and_another_rate_are_refused(people, laptop, tmp_path):
    with pytest.raises(CurationError, match=r"curation.scores.puppet_sync.weights.*training/recipes/puppet_sync.py"):
        scored(people[0].frames, people[0].audio, laptop, weights=str(tmp_path / "nowhere.safetensors"))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CurationError, match="does not hold the weights of puppet sync"):
        scored(people[0].frames, people[0].audio, laptop, weights=str(tmp_path / "model.safetensors"))
    other = laptop.model_copy(update={"video": laptop.video.model_copy(update={"fps": 25.0})})
    with pytest.raises(CurationError, match="16 frames per second and the profile has 25"):
        scored(people[0].frames, people[0].audio, other)


def test_it_is_off_unless_asked_for():
    assert PUPPET_SYNC.config(ScoresConfig()) is None


def test_the_cut_is_the_square_around_the_mouth_at_any_size():
    picture = np.zeros((1, 128, 128, 3), np.uint8)
    picture[0, 60:64, 50:54] = 255  # two by two pixels of a picture 64 high
    cut = cut_mouths(picture, np.array([51.5, 61.5]))[0, :, :, 0]
    assert cut.shape == (16, 16) and cut[7:9, 7:9].min() > 200 and cut[:6].max() == cut[:, :6].max() == 0


def test_the_mouth_is_where_most_frames_show_it():
    keypoints = np.zeros((3, 133, 3), np.float32)
    keypoints[:2, INNER_LIP_TOP] = [[10, 20, 1], [12, 20, 1]]
    keypoints[:2, INNER_LIP_BOTTOM] = [[10, 24, 1], [12, 24, 1]]
    assert mouth_centre(keypoints).tolist() == [11, 22] and mouth_centre(keypoints[2:]) is None


def test_shifts_of_known_vectors_are_found():
    sound = np.eye(12, dtype=np.float32)
    late = np.roll(sound, 2, axis=0)  # the mouth of window i is the sound of window i - 2
    assert find_shift(late, sound, 4) == dataclasses.replace(find_shift(sound, sound, 4), offset=2)
    assert find_shift(sound, sound, 4).confidence == pytest.approx(1.0)
    assert count_windows(9, 9_000) == 5 and count_windows(9, 4_999) == 0
    with pytest.raises(ValueError, match="cannot be compared over 12 frames"):
        find_shift(sound, sound, 12)
