"""How a speech encoder hears: as its folder says, a quiet voice as a loud one, and the end of a sound as its middle."""

import json

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from media.speech.level import LEVEL, WITHIN, measure_speech, prepare_speech
from omnihuman.conditions.audio import AudioEncoder, encode_audio
from omnihuman.conditions.hearing import Hearing, prepared
from omnihuman.errors import InputError
from profiles import load_profile, resolve_source
from puppets.speech import draw_speech, mouth_opening

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": (8,) * 7,
}  # fmt: skip
LAPTOP = resolve_source(load_profile("laptop", []).encoders.audio)


def voices(count: int, seed: int = 3, samples: int = 25_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([draw_speech(rng, samples, rng.uniform(95, 230)) for _ in range(count)])


def encoder(norm: str) -> Wav2Vec2Model:
    torch.manual_seed(0)
    return Wav2Vec2Model(Wav2Vec2Config(**SMALL, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")).eval()


def folder(path, norm: str, said: dict | None) -> str:
    encoder(norm).save_pretrained(path)
    if said is not None:
        (path / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16_000, **said}))
    return str(path)


@pytest.mark.parametrize(
    ("norm", "said", "expected"),
    [
        ("layer", {"do_normalize": True, "return_attention_mask": True}, Hearing(True, True)),
        ("layer", {"do_normalize": False}, Hearing(False, False)),
        ("group", {"do_normalize": True}, Hearing(True, False)),
        ("layer", None, Hearing(True, True)),
        ("group", None, Hearing(False, False)),
    ],
)
def test_the_encoders_own_folder_decides_and_without_its_file_the_kind_of_its_norm(norm, said, expected, tmp_path):
    assert Hearing.read(folder(tmp_path, norm, said)) == expected


def test_what_our_own_recipe_made_hears_sound_as_it_is():
    assert Hearing.read(LAPTOP) == Hearing(False, False)


def test_another_rate_and_a_broken_file_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="preprocessor_config.json asks for 8000 Hz"):
        Hearing.read(folder(tmp_path, "layer", {"sampling_rate": 8_000}))
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        Hearing.read(tmp_path)


def test_an_encoder_that_asks_for_it_hears_what_transformers_own_extractor_gives(tmp_path):
    (sound,) = voices(1)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    expected = torch.from_numpy(extractor(0.1 * sound + 0.02, sampling_rate=16_000)["input_values"][0])[None]
    torch.testing.assert_close(prepared(torch.from_numpy(0.1 * sound + 0.02)[None], True), expected, atol=1e-5, rtol=0)
    heard = AudioEncoder(folder(tmp_path, "layer", {"do_normalize": True}))
    states = heard.encode(torch.from_numpy(0.1 * sound + 0.02)[None], 25, 16.0)
    torch.testing.assert_close(states, encode_audio(heard.model, expected, 25, 16.0), atol=1e-4, rtol=0)


def test_padding_is_no_part_of_what_is_normalised(tmp_path):
    (sound,) = voices(1)
    padded = np.pad(sound, (0, 16_000))
    both = [prepare_speech(s, measure_speech(s), True)[: len(sound)] for s in (sound, padded)]
    np.testing.assert_array_equal(*both)
    assert not prepare_speech(padded, measure_speech(padded), True)[len(sound) :].any()


@pytest.mark.parametrize("decibels", [-30, -20, 14])
def test_a_voice_far_from_the_level_is_brought_to_it_and_it_is_said(decibels):
    (sound,) = voices(1)
    measure = measure_speech(sound * 10 ** (decibels / 20))
    assert measure.level == pytest.approx(measure_speech(sound).level + decibels, abs=0.01)
    changed = measure_speech(prepare_speech(sound * 10 ** (decibels / 20), measure, False))
    assert changed.level == pytest.approx(-25 if decibels < 0 else -19, abs=0.01)
    assert f"the voice is at {measure.level:.0f} dB" in measure.note and not changed.note


def test_pauses_and_padding_do_not_make_a_voice_quieter():
    (sound,) = voices(1, samples=48_000)
    paused = np.concatenate(
        [sound[:24_000], np.zeros(64_000, np.float32), sound[24_000:], np.zeros(32_000, np.float32)]
    )
    assert measure_speech(paused).level == pytest.approx(measure_speech(sound).level, abs=0.5)


def test_silence_and_noise_without_a_voice_stay_as_they_are():
    noise = 1e-4 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    for sound in (np.zeros(16_000, np.float32), noise):
        assert prepare_speech(sound, measure_speech(sound), False) is sound and not measure_speech(sound).note


def test_nearly_all_puppets_are_heard_as_they_are():
    levels = np.array([measure_speech(sound).level for sound in voices(200)])
    assert (np.abs(levels - LEVEL) <= WITHIN).mean() >= 0.95 and abs(np.median(levels) - LEVEL) < 1
    assert np.abs(levels - LEVEL).max() <= WITHIN + 3, "and the others within 3 dB of how they are"


def test_the_mouth_is_heard_in_a_quiet_voice_as_in_a_loud_one():
    sounds, half = voices(96, seed=9), 48
    opening = np.stack([mouth_opening(sound, 25, 16.0) for sound in sounds])
    hears = AudioEncoder(LAPTOP)

    def design(waveforms: np.ndarray) -> np.ndarray:
        states = hears.encode(torch.from_numpy(waveforms.astype(np.float32)), 25, 16.0).flatten(2).numpy()
        return np.concatenate([states, np.ones_like(states[..., :1])], axis=-1).reshape(-1, states.shape[-1] + 1)

    fit, *_ = np.linalg.lstsq(design(sounds[:half]), opening[:half].ravel(), rcond=None)
    follows = {
        gain: np.corrcoef(design(sounds[half:] * 10 ** (gain / 20)) @ fit, opening[half:].ravel())[0, 1]
        for gain in (0, -20)
    }
    assert follows[0] > 0.95 and follows[-20] > follows[0] - 0.05, follows


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_end_of_a_sound_is_heard_as_nearly_as_can_be_like_its_middle(norm):
    """Against what the same frames are in a window that is full of sound, as in training."""
    model, wanted, end = encoder(norm), 17_000, 8_500
    (sound,) = voices(1, samples=wanted)
    whole = torch.from_numpy(sound)[None]
    truth, found = (encode_audio(model, x, 17, 16.0)[:, :7] for x in (whole, whole[:, :end]))
    padded = torch.cat([whole[:, :end], torch.zeros(1, wanted - end)], dim=1)
    if norm == "group":
        padded[:, -1] = 1e-12  # too faint to be heard, but the sound ends with it: what was heard before
    before = encode_audio(model, padded, 17, 16.0)[:, :7]
    far = [float((states - truth).norm() / truth.norm()) for states in (before, found)]
    if norm == "group":
        assert far[1] < 0.85 * far[0], far
    else:
        torch.testing.assert_close(found, before, atol=1e-5, rtol=0)


def test_silence_behind_a_sound_changes_nothing_that_a_group_norm_hears_in_it():
    model = encoder("group")
    sound = torch.from_numpy(voices(1, samples=8_500))
    short, long = (encode_audio(model, sound, frames, 16.0) for frames in (13, 25))
    torch.testing.assert_close(long[:, :8], short[:, :8], atol=1e-5, rtol=0)
