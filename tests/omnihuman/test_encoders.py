"""The shipped encoders load from their own files and do what their recipes say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from omnihuman.autoencoder import RsqrtRMSNorm, load_autoencoder
from omnihuman.conditions.audio import AudioEncoder, encode_audio
from omnihuman.conditions.text import TextEncoder
from omnihuman.digests import weights_digest
from omnihuman.errors import InputError
from people.speech.pack import utterance
from people.speech.visemes import JAW, TRACK_RATE, mouth_track
from profiles import load_profile, resolve_source
from training.recipes.autoencoder import score as autoencoder_score
from training.recipes.people_speech_encoder import mouths_of, readout
from training.recipes.speech_encoder import score as speech_score

PROFILE = load_profile("laptop", [])


def recipe(source: str) -> dict:
    return json.loads((Path(resolve_source(source)) / "RECIPE.json").read_text())["held_out"]


def test_the_shipped_autoencoder_is_small_and_scores_what_its_recipe_says():
    folder = resolve_source(PROFILE.encoders.autoencoder)
    assert sum(p.stat().st_size for p in Path(folder).glob("*.safetensors")) < 4 * 2**20
    scores, told = autoencoder_score(Path(folder), clips=8), recipe(PROFILE.encoders.autoencoder)
    assert scores["mouth_correlation"] == pytest.approx(told["mouth_correlation"], abs=0.03)
    assert scores["psnr_db"] == pytest.approx(told["psnr_db"], abs=1.5)
    assert scores["missing_joints"] <= 0.05


def test_the_shipped_speech_encoder_hears_mouth_opening():
    told = recipe(PROFILE.encoders.audio)["mouth_opening_linear_correlation"]
    heard = speech_score(Path(resolve_source(PROFILE.encoders.audio)))["mouth_opening_linear_correlation"]
    assert heard == pytest.approx(told, abs=0.01)


def test_the_speech_encoder_of_people_hears_their_mouths_in_time():
    told = recipe("profile:people/wav2vec2")
    heard = readout(Path(resolve_source("profile:people/wav2vec2")), clips=40)
    assert heard["mouth_opening_r"] == pytest.approx(told["mouth_opening_r"], abs=0.08)
    assert heard["mouth_opening_r"] > 0.25 + max(heard["a_frame_before"], heard["a_frame_after"])


def test_a_state_of_speech_is_paired_with_the_mouth_at_the_middle_of_what_it_hears():
    said = utterance(5, 2.0)
    mouths = mouths_of(said, 99)[:, JAW]
    track = mouth_track(said)[:, JAW]
    at = (320 * np.arange(99) + 200) / 16_000 * TRACK_RATE - 0.5
    in_time, late = (
        np.abs(mouths - np.interp(at + TRACK_RATE * shift, np.arange(len(track)), track)).mean() for shift in (0, 0.005)
    )
    assert in_time < 0.3 * late


def test_the_fast_norm_is_the_stock_norm():
    norm = RsqrtRMSNorm(8, images=False)
    x = torch.randn(2, 8, 3, 4, 4)
    fast = norm(x)
    norm.__class__ = RsqrtRMSNorm.__mro__[1]
    torch.testing.assert_close(fast, norm(x), atol=1e-6, rtol=1e-5)


def test_audio_states_have_the_profiles_shape_and_short_sound_is_padded():
    encoder = AudioEncoder(resolve_source(PROFILE.encoders.audio))
    states = encoder.encode(torch.randn(2, 9_000) * 0.1, PROFILE.video.frames, PROFILE.video.fps)
    assert states.shape == (2, PROFILE.video.frames, PROFILE.transformer.audio_layers, PROFILE.transformer.audio_dim)


def test_a_hidden_state_that_the_encoder_lacks_is_refused_with_those_that_it_has():
    encoder = AudioEncoder(resolve_source(PROFILE.encoders.audio))
    count = PROFILE.transformer.audio_layers
    assert encode_audio(encoder.model, torch.zeros(1, 9_000), 5, 16.0, [0, count - 1]).shape[2] == 2
    said = f"encoders.audio_states asks for hidden state {count}, and the audio encoder has {count}, 0 to {count - 1}"
    with pytest.raises(InputError, match=said):
        encode_audio(encoder.model, torch.zeros(1, 9_000), 5, 16.0, [0, count])


def test_text_past_its_end_is_zero_and_different_texts_differ():
    source, width = resolve_source(PROFILE.encoders.text), PROFILE.transformer.text_dim
    encoder = TextEncoder([source], PROFILE.encoders.text_tokens, width)
    states = encoder.encode(["A person in a blue shirt.", "A person in a green shirt waves both arms."])
    assert states.shape == (2, PROFILE.encoders.text_tokens, width)
    assert states[0, 12:].abs().max() == 0 and not torch.equal(states[0, :5], states[1, :5])


def test_missing_weights_are_one_error_that_says_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="download"):
        load_autoencoder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="safetensors"):
        weights_digest(tmp_path)


INTEL, AMD, OLDER = (
    {"amx_bf16": True, "avx512_bf16": True},
    {"amx_bf16": False, "avx512_bf16": True},
    {"amx_bf16": False, "avx512_bf16": False},
)


@pytest.mark.parametrize(
    ("processor", "limit", "expected"),
    [
        (OLDER, {}, torch.float32),
        (AMD, {}, torch.bfloat16),
        (AMD, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16"}, torch.bfloat16),
        (INTEL, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16"}, torch.float32),
        (INTEL, {"DNNL_MAX_CPU_ISA": "avx512_core_bf16"}, torch.float32),
        (INTEL, {"ONEDNN_MAX_CPU_ISA": "avx512_core_amx"}, torch.bfloat16),
        (INTEL, {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX512_CORE_AMX"}, torch.float32),
        (INTEL, {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, torch.bfloat16),
        (INTEL, {"ONEDNN_MAX_CPU_ISA": "", "DNNL_MAX_CPU_ISA": "AVX2"}, torch.float32),
        ({"sve": True}, {}, torch.bfloat16),
    ],
)
def test_a_processor_that_gains_nothing_by_bfloat16_computes_in_float32(monkeypatch, processor, limit, expected):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)  # as of all with AVX-512
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in limit.items():
        monkeypatch.setenv(name, value)
    assert load_autoencoder(resolve_source("profile:laptop/autoencoder")).dtype == expected
