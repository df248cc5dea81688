"""A clip is the same everywhere, asks for what models take, and shows who it says."""

import numpy as np
import pytest

from people import KINDS, PeopleError, draw_identity, render
from people.body.body import body_of
from people.speech.pack import utterance
from people.speech.voices import BY_NAME


def test_same_seed_gives_the_same_clip():
    first = render(5, frames=5, size=64)
    body_of.cache_clear()
    second = render(5, frames=5, size=64)
    np.testing.assert_array_equal(first.frames, second.frames)
    np.testing.assert_array_equal(first.audio, second.audio)
    assert first.labels() == second.labels()


def test_other_seeds_give_other_people():
    people = [draw_identity(seed) for seed in range(40)]
    assert len({p.style for p in people}) > 8 and {p.sex for p in people} == {"female", "male"}
    assert len({p.garment.kind for p in people}) > 5 and len({p.skin for p in people}) == 5
    assert any(p.glasses != "none" for p in people) and any(p.beard != "none" for p in people)
    assert all(p.beard == "none" for p in people if p.sex == "female")


def test_one_identity_is_the_same_person_in_other_clips():
    first, second = (render(seed, frames=1, size=64, identity=77) for seed in (1, 2))
    assert first.name == second.name and first.identity == second.identity
    assert np.abs(first.frames.astype(int) - second.frames).mean() > 3  # light, place and pose differ


def test_a_picture_twice_as_large_shows_the_same():
    small, large = render(6, frames=1, size=64), render(6, frames=1, size=128)
    np.testing.assert_allclose((large.keypoints[0, :91, :2] - 0.5) / 2, small.keypoints[0, :91, :2], atol=0.01)
    np.testing.assert_allclose(small.opening, large.opening, atol=1e-6)
    halved = large.frames[0].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small.frames[0]).mean() < 8


def test_voice_is_of_the_persons_sex():
    for seed in range(6):
        clip = render(seed, frames=1, size=32)
        assert clip.audio is not None
        voices = [
            name for name, voice in BY_NAME.items() if voice.gender == clip.identity.sex and voice.split == "train"
        ]
        np.testing.assert_array_equal(clip.audio, utterance(seed, 1 / 16, voices).audio)


def test_held_out_voices_speak_other_sentences():
    assert render(3, frames=1, size=32, split="held_out").text != render(3, frames=1, size=32).text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"size": 100}, "multiple of 16 from 32 on, got 100; the nearest is 96"),
        ({"size": 16}, "the nearest is 32"),
        ({"frames": 24}, "4n\\+1 frames, got 24; the nearest is 25"),
        ({"framing": "far"}, "choose one of close, portrait, half, upper"),
        ({"kind": "upside_down"}, "choose one of clean"),
    ],
)
def test_what_models_cannot_take_is_refused_with_what_they_can(asked, told):
    with pytest.raises(PeopleError, match=told):
        render(1, **asked)


def test_kinds_start_with_clean():
    assert KINDS[0] == "clean" and len(KINDS) == 12


def test_geometry_of_one_seed_never_changes():
    # It may change on purpose; then every stored benchmark and score is of other clips. Not by accident.
    clip = render(7, frames=5, size=64, framing="portrait")
    nose, shoulder, chin, lip = clip.keypoints[4, [0, 5, 23 + 8, 23 + 66], :2]
    np.testing.assert_allclose(nose, (35.934, 29.894), atol=0.01)
    np.testing.assert_allclose(shoulder, (57.523, 51.269), atol=0.01)
    np.testing.assert_allclose(chin, (35.768, 41.053), atol=0.01)
    np.testing.assert_allclose(lip, (35.981, 35.581), atol=0.01)
    np.testing.assert_allclose(clip.opening, (0.0584, 0.1138, 0.0338, 0.0378, 0.0917), atol=2e-4)
    np.testing.assert_allclose(clip.head[4], (6.54, 15.45, 4.06), atol=0.02)
