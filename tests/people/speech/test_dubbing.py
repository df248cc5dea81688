"""Sound that does not fit the mouth does not fit it in the way that its kind says, and in no other."""

import numpy as np
import pytest

from media.speech.level import measure_speech
from people.speech.dubbing import KINDS, dub, lay_under, music, mute, noise, shift
from people.speech.pack import utterance
from people.speech.recordings import RATE, SPLITS, SpeechError
from people.speech.visemes import face_units, opening
from people.speech.voices import BY_NAME, VOICES

SECONDS = 2.0


def envelope(audio: np.ndarray) -> np.ndarray:
    """RMS of each 10 ms."""
    return np.sqrt(np.mean(audio[: len(audio) // 160 * 160].reshape(-1, 160) ** 2, axis=1))


def lag(first: np.ndarray, second: np.ndarray) -> int:
    """10 ms steps by which the second comes after the first."""
    return max(range(-60, 61), key=lambda n: np.dot(first[60:-60], np.roll(second, -n)[60:-60]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_mouth_and_sound_are_as_long_as_asked_and_the_same_each_time(kind, split):
    first, again = dub(kind, 3, SECONDS, split=split), dub(kind, 3, SECONDS, split=split)
    assert first.audio.shape == first.mouth.audio.shape == (round(SECONDS * RATE),)
    assert first.audio.dtype == np.float32 and np.array_equal(first.audio, again.audio)
    assert BY_NAME[first.mouth.voice].split == split and np.abs(first.audio).max() <= 1


@pytest.mark.parametrize("frames", [-6, 1, 6])
def test_a_late_sound_is_late_by_so_many_frames(frames):
    for seed in range(3):
        made = dub("late", seed, 4.0, late_by=frames / 25)
        assert lag(envelope(made.mouth.audio), envelope(made.audio)) == 4 * frames


def test_a_late_sound_is_the_mouth_s_own_moved_by_samples():
    longer = utterance(2, 3.0)
    late, early = shift(longer, 0.5), shift(longer, -0.5)
    assert np.array_equal(late.audio, longer.audio[: 5 * RATE // 2])
    assert np.array_equal(late.mouth.audio, longer.audio[RATE // 2 :])
    assert np.array_equal(early.mouth.audio, late.audio) and np.array_equal(early.audio, late.mouth.audio)
    with pytest.raises(SpeechError, match="not within"):
        shift(longer, 3.0)


def test_other_words_are_said_by_the_same_speaker():
    made = dub("other_words", 4, SECONDS, ["slt_95"])
    own = utterance(4, SECONDS, ["slt_95"])
    assert np.array_equal(made.mouth.audio, own.audio) and made.mouth.text == own.text
    corrs = []
    for seed in range(12):
        made = dub("other_words", seed, 4.0)
        corrs.append(np.corrcoef(envelope(made.mouth.audio), envelope(made.audio))[0, 1])
    assert np.mean(corrs) < 0.35


def test_a_pause_takes_the_sound_and_leaves_the_mouth():
    made = dub("pause", 5, 4.0)
    zeros = np.flatnonzero(np.convolve(made.audio == 0, np.ones(round(1.58 * RATE)), "valid") == round(1.58 * RATE))
    first, last = zeros[0], zeros[-1] + round(1.58 * RATE)  # 40 % of 4 s but for the fades
    assert last - first < 2 * 1.6 * RATE
    assert np.array_equal(made.audio[: first - 320], made.mouth.audio[: first - 320])
    assert np.array_equal(made.audio[last + 320 :], made.mouth.audio[last + 320 :])
    assert opening(face_units(made.mouth, 25, 100)).max() > 0.2
    assert np.array_equal(mute(np.ones(RATE, np.float32), 2.0, 3.0), np.ones(RATE))


def test_another_voice_says_the_same_words_in_other_timing():
    for seed in range(6):
        made = dub("other_voice", seed, 3.0, [v.name for v in VOICES if v.take == "slt"])
        assert made.mouth.voice.startswith("slt")
        assert not np.array_equal(made.audio, made.mouth.audio)
    takes = {take: utterance(7, 2.0, [f"{take}_100"]) for take in ("slt", "rms", "kal16")}
    first_words = {said.text.split(".")[0] for said in takes.values()}
    assert len(first_words) == 1
    ends = {said.phones[2].end for said in takes.values()}
    assert len(ends) == 3


@pytest.mark.parametrize("kind", ["music", "noise"])
def test_music_and_noise_are_heard_while_the_mouth_is_shut(kind):
    made = dub(kind, 6, SECONDS)
    assert not face_units(made.mouth, 25, 50).any() and made.mouth.text == ""
    assert measure_speech(made.audio).level == pytest.approx(-22, abs=2.5)


def test_music_has_tones_and_beats_and_noise_has_none():
    rng = np.random.default_rng(0)
    tune, street = music(rng, 4 * RATE), noise(rng, 4 * RATE)

    def tonal(audio):
        heard = np.abs(np.fft.rfft(audio))[4 * 180 : 4 * 2000] ** 2  # 180 to 2000 Hz
        power = np.sort(heard)[::-1]
        return power[:200].sum() / power.sum()

    def onset(audio):
        steps = envelope(audio).reshape(-1, 5).mean(axis=1)  # of 50 ms
        return np.diff(steps).max() / steps.mean()

    assert tonal(tune) > 2 * tonal(street)
    assert onset(tune) > 0.8 > onset(street)


def test_a_bed_fills_pauses_and_leaves_speech():
    said = utterance(8, 4.0)
    mixed = lay_under(said.audio, noise(np.random.default_rng(0), len(said.audio)), below=15)
    pauses = envelope(said.audio) < 1e-4
    assert pauses.sum() > 10 and envelope(mixed)[pauses].mean() == pytest.approx(10 ** (-37 / 20), rel=0.5)
    assert np.corrcoef(envelope(mixed), envelope(said.audio))[0, 1] > 0.95


def test_another_kind_is_an_error_that_names_the_kinds():
    with pytest.raises(SpeechError, match="'echo' is no kind of dubbing; there are other_words"):
        dub("echo", 0, 1.0)  # type: ignore[arg-type]  # it is what is refused
