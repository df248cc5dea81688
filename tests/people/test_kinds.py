"""Each kind breaks its rule and no other."""

import numpy as np
import pytest

from people import KINDS, render
from people.classes import PixelClass as C
from people.kinds import LATE_FRAMES

SEED, FRAMES, SIZE = 401, 13, 64
SAME_PICTURE = ("wrong_sync", "other_voice", "pause_in_sound", "no_audio")
SAME_SOUND = ("hidden_hands", "still", "hard_cut", "overlay_text", "two_people", "leaves_picture")


@pytest.fixture(scope="module")
def clips():
    return {kind: render(SEED, kind, FRAMES, SIZE) for kind in KINDS}


@pytest.mark.parametrize("kind", SAME_PICTURE)
def test_rules_of_sound_leave_the_picture_and_its_truth_alone(clips, kind):
    np.testing.assert_array_equal(clips[kind].frames, clips["clean"].frames)
    np.testing.assert_array_equal(clips[kind].keypoints, clips["clean"].keypoints)
    np.testing.assert_array_equal(clips[kind].opening, clips["clean"].opening)


@pytest.mark.parametrize("kind", SAME_SOUND)
def test_rules_of_the_picture_leave_the_sound_alone(clips, kind):
    np.testing.assert_array_equal(clips[kind].audio, clips["clean"].audio)
    assert clips[kind].text == clips["clean"].text


def test_wrong_words_and_another_voice_are_heard(clips):
    clean = clips["clean"].audio
    for kind in ("wrong_sync", "other_voice"):
        assert len(clips[kind].audio) == len(clean)
        assert abs(np.corrcoef(clips[kind].audio, clean)[0, 1]) < 0.3


def test_pause_silences_part_of_the_sound_and_leaves_the_rest(clips):
    paused, clean = clips["pause_in_sound"].audio, clips["clean"].audio
    silent = (paused == 0) & (clean != 0)
    assert 0.25 < silent.mean() <= 0.41 and (clean[silent] ** 2).sum() > 0.4 * (clean**2).sum()
    assert (paused[~silent] == clean[~silent]).mean() > 0.9


def test_late_sound_fits_the_mouth_of_some_frames_before():
    late = render(SEED, "late_sound", 25, 32)
    assert late.audio is not None
    samples = round(LATE_FRAMES / 16 * 16000)
    assert len(late.audio) == 25000
    # What the mouth says at t is heard LATE_FRAMES later: there, silence begins as much later too.
    quiet = [
        p for p in late.phones if p.symbol == "pau" and p.end - p.start > 0.05 and p.end + LATE_FRAMES / 16 < 25 / 16
    ]
    for pause in quiet:
        middle = round((pause.start + pause.end) / 2 * 16000)
        assert np.abs(late.audio[middle + samples - 200 : middle + samples + 200]).max() < 0.05
    assert late.opening.max() > 0.05


def test_no_audio_has_none(clips):
    assert [kind for kind in KINDS if clips[kind].audio is None] == ["no_audio"]


def test_hands_are_hidden_in_a_picture_that_would_show_them(clips):
    hidden, shown = clips["hidden_hands"], render(SEED, "clean", 1, SIZE, framing="upper")
    assert hidden.framing == "upper" and "hand" not in hidden.caption
    seen = (hidden.keypoints[:, 91:, 2] == 1).mean()
    assert seen < 0.2 < (shown.keypoints[:, 91:, 2] == 1).mean()
    assert (hidden.keypoints[:, [5, 6, 23 + 30], 2] == 1).all()  # shoulders and nose are seen


def test_still_is_one_picture(clips):
    assert (clips["still"].frames == clips["still"].frames[:1]).all()
    assert np.ptp(clips["still"].opening) == 0
    assert (clips["clean"].frames != clips["clean"].frames[:1]).any(axis=(1, 2, 3))[1:].all()


def test_cut_shows_another_person_from_one_frame_on(clips):
    frames = clips["hard_cut"].frames.astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    cut = int(change.argmax())
    assert change[cut] > 4 * np.delete(change, cut).max()
    np.testing.assert_array_equal(clips["hard_cut"].frames[: cut + 1], clips["clean"].frames[: cut + 1])


def test_text_covers_a_bar_and_nothing_else(clips):
    text = clips["overlay_text"].classes == C.TEXT
    assert 0.1 < text.mean() < 0.2
    np.testing.assert_array_equal(clips["overlay_text"].frames[~text], clips["clean"].frames[~text])
    assert (clips["overlay_text"].frames[text] > 200).mean() > 0.05


def test_somebody_else_stands_behind(clips):
    both, one = clips["two_people"], clips["clean"]
    behind = (both.classes != C.BACKGROUND) & (one.classes == C.BACKGROUND)
    assert 0.05 < behind.mean() < 0.5
    np.testing.assert_array_equal(both.keypoints[..., :2], one.keypoints[..., :2])
    face = one.classes == C.SKIN
    assert (both.frames[face] == one.frames[face]).mean() > 0.95


def test_face_goes_out_of_the_picture():
    clip = render(SEED, "leaves_picture", 25, 32)
    inside = (clip.keypoints[:, 23:91, 2] > 0).mean(axis=1)
    assert inside[0] == 1 and inside[-1] < 0.2


def test_clean_keeps_the_face_in_the_picture():
    for seed in range(4):
        clip = render(seed, "clean", 13, 32, identity=77)
        assert (clip.keypoints[:, 23:91, 2] > 0).all()
