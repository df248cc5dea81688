"""The mouth that is heard: features of known sounds, and a prediction that fits mouths it has never seen."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from networks.mouth_from_sound.predictor import (
    BANDS,
    HIDDEN,
    MOMENTS,
    RATE,
    WEIGHTS,
    load_mouth_from_sound,
    log_mel,
    sound_features,
)
from networks.weights import NetworkError
from people.speech.dubbing import lay_under, noise
from people.speech.pack import utterance
from people.speech.visemes import face_units, opening


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def test_a_tone_lies_in_the_band_of_its_frequency():
    bands = [int(log_mel(tone(f), np.array([0.5]))[0].argmax()) for f in (150, 500, 1000, 2000, 4000, 6500)]
    assert bands == sorted(bands) and len(set(bands)) == 6 and bands[0] <= 1 and bands[-1] == BANDS - 1


def test_a_spectrum_is_of_the_25_ms_about_its_moment():
    click = np.zeros(RATE)
    click[RATE // 2] = 1.0
    heard = log_mel(click, 0.5 + np.array([-0.02, -0.008, 0.0, 0.008, 0.02])).mean(axis=1)
    assert heard[2] > heard[1] > heard[0] and np.allclose(heard, heard[::-1], atol=0.2)
    assert heard[0] == pytest.approx(np.log(1e-4))


def test_outside_of_the_sound_is_silence():
    assert np.allclose(log_mel(tone(500), np.array([-3.0, 9.0])), np.log(1e-4))


def test_features_know_neither_level_nor_the_microphones_tone():
    said = utterance(3, 3.0)
    times = (np.arange(48) + 0.5) / 16
    plain = sound_features(said.audio, times)
    assert plain.shape == (48, BANDS * len(MOMENTS))
    assert np.allclose(plain, sound_features(0.1 * said.audio, times), atol=1e-3)
    dull = np.convolve(said.audio, [0.5, 0.3, 0.2], "same")
    assert np.corrcoef(plain.ravel(), sound_features(dull, times).ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("fps", "frames"), [(16.0, 81), (25.0, 125)])
def test_it_follows_mouths_of_voices_and_sentences_that_were_not_trained_on(fps, frames):
    predict = load_mouth_from_sound()
    own, moved, other = [], [], []
    for seed in range(500, 510):
        said, another = (
            utterance(seed, frames / fps, split="held_out"),
            utterance(seed + 50, frames / fps, split="held_out"),
        )
        mouth = opening(face_units(said, fps, frames))
        predicted = predict(said.audio, fps, frames)
        own.append(np.corrcoef(mouth, predicted)[0, 1])
        moved.append(np.corrcoef(mouth[6:], predicted[:-6])[0, 1])
        other.append(np.corrcoef(mouth, predict(another.audio, fps, frames))[0, 1])
    assert min(own) > 0.75 and np.mean(own) > 0.84
    assert np.mean(np.abs(moved)) < 0.3 and np.mean(np.abs(other)) < 0.3


def test_noise_under_the_speech_takes_little():
    predict, found = load_mouth_from_sound(), []
    for seed in range(520, 526):
        said = utterance(seed, 5.0, split="held_out")
        noisy = lay_under(said.audio, noise(np.random.default_rng(seed), len(said.audio)), 15)
        found.append(np.corrcoef(opening(face_units(said, 16, 80)), predict(noisy, 16, 80))[0, 1])
    assert np.mean(found) > 0.8


def test_without_a_voice_nothing_is_predicted():
    predict = load_mouth_from_sound()
    assert np.isnan(predict(np.zeros(RATE, np.float32), 25, 25)).all()
    assert np.isnan(predict(1e-4 * tone(300), 25, 25)).all()


def test_the_weights_are_a_few_kilobytes_and_of_the_stated_shapes(tmp_path):
    weights = load_file(WEIGHTS)
    assert weights["hidden"].shape == (HIDDEN, BANDS * len(MOMENTS)) and WEIGHTS.stat().st_size < 16_000
    cut = tmp_path / "cut.safetensors"
    save_file(weights | {"out": weights["out"][:3].copy()}, cut)
    with pytest.raises(NetworkError, match="cut.safetensors.*training/recipes/mouth_from_sound.py"):
        load_mouth_from_sound(cut)
    with pytest.raises(NetworkError, match="none.safetensors.*training/recipes/mouth_from_sound.py"):
        load_mouth_from_sound(tmp_path / "none.safetensors")
