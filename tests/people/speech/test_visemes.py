"""The mouth that says it: shut where it must be, open where it must be, to the frame."""

import numpy as np
import pytest

from people.speech.pack import Utterance, utterance
from people.speech.recordings import RATE, Phone, SpeechError
from people.speech.visemes import JAW, SHAPE_OF_PHONE, SHAPES, UNITS, face_units, mouth_track, opening, sealed_frames

OPEN, CLOSE = ("aa", "ao", "ae", "aw", "ay"), ("iy", "uw", "s", "w", "f", "t")


def sung(*phones: Phone, silent: bool = False) -> Utterance:
    """An utterance of these phones, as loud everywhere as in any other place, but in silence."""
    audio = np.zeros(round(phones[-1].end * RATE), np.float32)
    for phone in phones:
        if phone.symbol != "pau" and not silent:
            audio[round(phone.start * RATE) : round(phone.end * RATE)] = 0.1
    audio[::2] *= -1
    return Utterance("", "nobody", audio, phones)


def held(symbol: str) -> np.ndarray:
    """Units in the middle of a long phone."""
    return face_units(sung(Phone(symbol, 0, 0.8)), 25, 20)[10]


def test_every_unit_stands_in_a_shape_and_every_shape_is_of_units():
    named = {name for shape in SHAPES.values() for name in shape}
    both_sides = {side for name in named for side in (name, f"{name}Left", f"{name}Right")}
    assert set(UNITS) <= both_sides
    assert all(name in UNITS or f"{name}Left" in UNITS for name in named)
    assert len(SHAPES) == 17 and set(SHAPE_OF_PHONE.values()) == set(SHAPES)


def test_open_vowels_open_more_than_close_ones():
    assert min(opening(held(p)[None])[0] for p in OPEN) > 1.5 * max(opening(held(p)[None])[0] for p in CLOSE)


def test_rounded_vowels_pucker_and_spread_ones_stretch():
    pucker, stretch, tongue = (UNITS.index(name) for name in ("mouthPucker", "mouthStretchLeft", "tongueOut"))
    assert min(held(p)[pucker] for p in ("uw", "ow", "w")) > 0.3 > max(held(p)[pucker] for p in ("iy", "ae", "s"))
    assert min(held(p)[stretch] for p in ("iy", "ae", "s")) > 0.15 > max(held(p)[stretch] for p in ("uw", "ow", "w"))
    assert held("th")[tongue] > 0.3 and held("s")[tongue] == 0


@pytest.mark.parametrize("fps", [16, 25, 30])
def test_every_p_b_and_m_is_shut_in_the_frame_nearest_to_its_middle(fps):
    count = 0
    for seed in range(20):
        said = utterance(seed, 3.0, split="held_out" if seed % 2 else "train")
        gap = opening(face_units(said, fps, 3 * fps))
        centres = (np.arange(3 * fps) + 0.5) / fps
        for phone in said.phones:
            if phone.symbol in ("p", "b", "m"):
                count += 1
                assert gap[np.abs(centres - phone.middle).argmin()] == 0.0
    assert count > 50


def test_a_bilabial_between_open_vowels_does_not_shut_their_frames():
    gap = opening(face_units(sung(Phone("aa", 0, 0.4), Phone("m", 0.4, 0.44), Phone("aa", 0.44, 0.84)), 25, 21))
    assert gap[10] == 0.0 and (gap[[0, 5, 7, 13, 15, 20]] > 0.25).all()


@pytest.mark.parametrize("fps", [16, 25])
def test_silence_is_shut(fps):
    for seed in range(10):
        said = utterance(seed, 4.0)
        units = face_units(said, fps, 4 * fps)
        centres = (np.arange(4 * fps) + 0.5) / fps
        for phone in said.phones:
            if phone.symbol == "pau":
                deep = (centres > phone.start + 0.08) & (centres < phone.end - 0.08)
                assert np.abs(units[deep]).max(initial=0) == 0.0


@pytest.mark.parametrize("fps", [16, 25])
def test_the_mouth_opens_and_shuts_in_the_frame_of_the_phone(fps):
    start, end = 10 / fps, 20 / fps
    gap = opening(
        face_units(sung(Phone("pau", 0, start), Phone("aa", start, end), Phone("pau", end, 2 * end)), fps, 30)
    )
    half = gap.max() / 2
    assert np.flatnonzero(gap > half)[[0, -1]].tolist() == [10, 19]
    # Symmetric about the phone: nothing runs ahead or behind.
    assert np.allclose(gap[5:25], gap[5:25][::-1], atol=0.01)


def test_the_jaw_follows_loudness():
    quiet = sung(Phone("aa", 0, 0.5), Phone("aa", 0.5, 1.0))
    quiet.audio[: RATE // 2] *= 0.1
    units = face_units(quiet, 20, 20)
    assert units[3, JAW] < 0.7 * units[16, JAW]


def test_articulation_scales_the_mouth_and_leaves_seals_shut():
    said = utterance(1, 3.0)
    plain, mumbled = face_units(said, 25, 75), face_units(said, 25, 75, articulation=0.5)
    assert opening(mumbled).mean() == pytest.approx(0.5 * opening(plain).mean(), rel=0.1)
    assert (opening(mumbled)[sealed_frames(said, 25, 75)] == 0).all()


def test_units_lie_between_0_and_1_and_are_the_same_each_time():
    for seed in range(10):
        units = face_units(utterance(seed, 2.0), 16, 32)
        assert units.shape == (32, len(UNITS)) and units.dtype == np.float32
        assert units.min() >= 0 and units.max() <= 1
        assert np.array_equal(units, face_units(utterance(seed, 2.0), 16, 32))


def test_frames_are_samples_of_the_track():
    said = utterance(3, 2.0)
    track, units = mouth_track(said), face_units(said, 200, 400)
    free = np.setdiff1d(np.arange(400), sealed_frames(said, 200, 400))
    assert np.allclose(track[free], units[free], atol=1e-6)


def test_after_the_end_the_mouth_is_shut():
    assert not face_units(sung(Phone("aa", 0, 0.4)), 25, 30)[11:].any()


def test_no_sound_at_all_leaves_the_jaw_at_its_quietest():
    loud, silent = sung(Phone("aa", 0, 0.5)), sung(Phone("aa", 0, 0.5), silent=True)
    assert face_units(silent, 20, 10)[5, JAW] == pytest.approx(0.6 / 1.15 * face_units(loud, 20, 10)[5, JAW])


def test_an_unknown_phone_is_one_error_that_names_it():
    with pytest.raises(SpeechError, match="'qq' has no mouth shape"):
        face_units(sung(Phone("aa", 0, 0.2), Phone("qq", 0.2, 0.4)), 25, 10)
