"""Music, language, speakers: networks of transformers' own classes, small, taught on tones and noise, saved and read by path."""

from pathlib import Path

import numpy as np
import pytest
import torch

from curation.bucket import BucketClip
from curation.errors import CurationError
from curation.scores.clip_media import Bench, Material
from curation.scores.sound.language import LANGUAGE, language_of
from curation.scores.sound.music import MUSIC, label_indices, music_columns
from curation.scores.sound.signal import pieces
from curation.scores.sound.speakers import SPEAKERS, speaker_columns, speaker_labels, speech_windows
from profiles.scores import LanguageConfig, MusicConfig, ScoresConfig, SpeakersConfig
from puppets import PuppetKeypoints

RATE = 16_000


def tone(seed: int, seconds: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(0.1 * np.sin(2 * np.pi * f * time) for f in rng.uniform(200, 800, 3)).astype(np.float32)


def noise(seed: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def heard(laptop, audio: np.ndarray | None) -> Material:
    return Material.of_bucket(BucketClip(np.zeros((17, 64, 64, 3), np.uint8), audio), Bench(laptop.video, None, (), 4))


def fitted(states: list[torch.Tensor], size: float = 6.0) -> torch.Tensor:
    """Weights that give +size for the first half of the states and -size for the second."""
    half = len(states) // 2
    target = torch.tensor([size] * half + [-size] * half)
    return torch.linalg.lstsq(torch.stack(states), target[:, None], driver="gelsd").solution[:, 0]


@pytest.fixture(scope="module")
def music_folder(tmp_path_factory) -> Path:
    """An AST that calls tones music and noise speech."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    labels = {0: "Speech", 1: "Music", 2: "Bell"}
    config = ASTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )  # fmt: skip
    network, extractor = ASTForAudioClassification(config).eval(), ASTFeatureExtractor()
    with torch.no_grad():
        states = []
        for sound in [tone(s, 10) for s in range(8)] + [noise(s, 10) for s in range(8)]:
            given = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_values
            pooled = network.audio_spectrogram_transformer(given).pooler_output
            states.append(network.classifier.layernorm(pooled)[0])
        weights = fitted(states)
        network.classifier.dense.weight.copy_(torch.stack([-weights, weights, torch.zeros(32)]))
        network.classifier.dense.bias.copy_(torch.tensor([0.0, 0.0, -9.0]))
    folder = tmp_path_factory.mktemp("ast")
    network.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def test_music_is_the_share_of_windows_that_the_network_calls_music(music_folder, laptop):
    config = MusicConfig(weights=str(music_folder))
    shares = [
        MUSIC.compute(heard(laptop, audio), config)["music_share"]
        for audio in (tone(100, 20), noise(100, 20), np.concatenate([tone(101, 10), noise(101, 10)]))
    ]
    assert shares == [1.0, 0.0, 0.5]
    bells = MUSIC.compute(heard(laptop, tone(100, 10)), MusicConfig(weights=str(music_folder), labels=("Bell",)))
    assert bells["music_share"] == 0.0 and bells["music_probability"] == pytest.approx(1 / (1 + np.exp(9)), rel=1e-3)
    assert all(np.isnan(value) for value in MUSIC.compute(heard(laptop, None), config).values())


def test_weights_that_are_replaced_under_their_path_are_read_again(music_folder, tmp_path, laptop):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(music_folder, tmp_path / "ast")
    config, material = MusicConfig(weights=str(folder)), heard(laptop, tone(100, 10))
    assert MUSIC.compute(material, config)["music_share"] == 1.0
    weights = load_file(folder / "model.safetensors")
    weights["classifier.dense.weight"] *= -1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert MUSIC.compute(material, config)["music_share"] == 0.0


def test_music_refuses_labels_that_the_network_does_not_have(music_folder, laptop):
    with pytest.raises(
        CurationError, match=r"labels names 'Musik', which the network does not know.*Bell, Music, Speech"
    ):
        MUSIC.compute(heard(laptop, tone(0, 3)), MusicConfig(weights=str(music_folder), labels=("Musik",)))
    assert label_indices({0: "a", 1: "b"}, ("b", "a")) == [1, 0]
    found = music_columns(np.array([[0.2, 0.9], [0.4, 0.1], [0.5, 0.0]]), 0.5)
    assert found == {"music_share": pytest.approx(2 / 3), "music_probability": pytest.approx(0.6)}


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory) -> Path:
    """A Whisper to which tones are German and noise is French."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=60, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=8, decoder_start_token_id=50, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, init_std=0.3,
    )  # fmt: skip
    network, extractor = WhisperForConditionalGeneration(config).eval(), WhisperFeatureExtractor()
    network.generation_config.lang_to_id = {"<|en|>": 51, "<|de|>": 52, "<|fr|>": 53}
    network.generation_config.is_multilingual = True
    network.generation_config._from_model_config = (
        False  # or it is derived from config.json again, as no published one is
    )
    network.generation_config.decoder_start_token_id = 50
    with torch.no_grad():
        states = []
        for sound in [tone(s, 8) for s in range(8)] + [noise(s, 8) for s in range(8)]:
            features = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_features
            states.append(network.model(features, decoder_input_ids=torch.full((1, 1), 50)).last_hidden_state[0, -1])
        weights = fitted(states, 3.0)
        rows = network.get_output_embeddings().weight
        rows[51], rows[52], rows[53] = 0.0, weights, -weights
    folder = tmp_path_factory.mktemp("whisper")
    network.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def test_language_is_that_of_the_first_token_and_agrees_with_transformers_own_detection(whisper_folder, laptop):
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = LanguageConfig(weights=str(whisper_folder))
    german, french = (LANGUAGE.compute(heard(laptop, audio), config) for audio in (tone(100, 8), noise(100, 8)))
    assert (german["language"], french["language"]) == ("de", "fr")
    assert german["language_probability"] > 0.6 and french["language_probability"] > 0.6
    network = WhisperForConditionalGeneration.from_pretrained(whisper_folder)
    features = WhisperFeatureExtractor.from_pretrained(whisper_folder)(
        tone(100, 8), sampling_rate=RATE, return_tensors="pt"
    )
    assert network.detect_language(features.input_features).tolist() == [52]
    silent = LANGUAGE.compute(heard(laptop, None), config)
    assert silent["language"] is None and np.isnan(silent["language_probability"])


def test_longer_windows_count_more_for_the_language():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert language_of(probabilities, ["de", "fr"], np.array([30, 10])) == {
        "language": "de",
        "language_probability": pytest.approx(0.725),
    }
    assert language_of(probabilities, ["de", "fr"], np.array([10, 30]))["language"] == "fr"


def test_a_whisper_for_english_alone_is_refused(whisper_folder, tmp_path, laptop):
    import json
    import shutil

    folder = shutil.copytree(whisper_folder, tmp_path / "en")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "lang_to_id"}))
    with pytest.raises(
        CurationError, match=r"curation.scores.language.weights: .*no lang_to_id; take a multilingual model"
    ):
        LANGUAGE.compute(heard(laptop, tone(0, 3)), LanguageConfig(weights=str(folder)))


@pytest.fixture(scope="module")
def wavlm_folder(tmp_path_factory) -> Path:
    """X-vectors to which tones are one speaker and noise is another."""
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(32,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, tdnn_dim=(32, 32, 32, 32, 64), xvector_output_dim=32,
        num_labels=4, initializer_range=0.3,
    )  # fmt: skip
    network, extractor = WavLMForXVector(config).eval(), Wav2Vec2FeatureExtractor()
    with torch.no_grad():
        sounds = [tone(s, 1.5) for s in range(24)] + [noise(s, 1.5) for s in range(24)]
        seen: list[torch.Tensor] = []
        hook = network.feature_extractor.register_forward_hook(lambda module, given, result: seen.append(given[0]))
        network(extractor(sounds, sampling_rate=RATE, return_tensors="pt").input_values)
        hook.remove()
        states = torch.cat([seen[0], torch.ones(48, 1)], dim=1).double()
        target = torch.zeros(48, 32, dtype=torch.float64)
        target[:24, 0] = target[24:, 1] = 1.0
        weights = torch.linalg.lstsq(states, target, rcond=1e-9, driver="gelsd").solution
        network.feature_extractor.weight.copy_(weights[:-1].T)
        network.feature_extractor.bias.copy_(weights[-1])
    folder = tmp_path_factory.mktemp("wavlm")
    network.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def test_two_voices_are_two_speakers_and_one_voice_is_one(wavlm_folder, laptop):
    # Everything counts as speech here: what silero-vad makes of tones is not the matter.
    config = SpeakersConfig(weights=str(wavlm_folder), speech=0.0, similarity=0.5)
    one = SPEAKERS.compute(heard(laptop, tone(100, 9)), config)
    two = SPEAKERS.compute(heard(laptop, np.concatenate([tone(100, 6), noise(100, 3)])), config)
    assert one == {"speaker_count": 1.0, "main_speaker_share": 1.0}
    assert two["speaker_count"] == 2.0 and 0.55 < two["main_speaker_share"] < 0.8
    assert np.isnan(SPEAKERS.compute(heard(laptop, None), config)["speaker_count"])


def test_silence_has_no_speaker(wavlm_folder, laptop):
    found = SPEAKERS.compute(heard(laptop, np.zeros(3 * RATE, np.float32)), SpeakersConfig(weights=str(wavlm_folder)))
    assert found["speaker_count"] == 0.0 and np.isnan(found["main_speaker_share"])


@pytest.mark.parametrize("speakers", [1, 2, 3, 5])
def test_the_clustering_finds_how_many_directions_there_are(speakers):
    rng = np.random.default_rng(speakers)
    centres = np.linalg.qr(rng.normal(size=(64, 5)))[0].T[:speakers]
    vectors = np.concatenate([centre + rng.normal(0, 0.03, (8, 64)) for centre in centres])
    labels = speaker_labels(vectors, 0.7)
    assert len(set(labels)) == speakers and all(len(set(labels[i : i + 8])) == 1 for i in range(0, len(labels), 8))
    assert len(set(speaker_labels(vectors, -0.99))) == 1


def test_a_window_across_a_change_of_speakers_is_no_speaker():
    labels = np.array([1] * 12 + [2] + [3] * 7)
    assert speaker_columns(labels, 0.1) == {"speaker_count": 2.0, "main_speaker_share": 0.6}
    assert speaker_columns(labels, 0.0)["speaker_count"] == 3.0


def test_only_windows_full_of_speech_are_asked():
    audio, config = noise(0, 6.0), SpeakersConfig(weights="", seconds=1.5, hop=0.75, speech=0.8)
    probabilities = np.zeros(len(audio) // 512)
    probabilities[: round(3.1 * RATE / 512)] = 1.0
    assert (
        len(speech_windows(audio, probabilities, config)) == 3
    )  # from 0, 0.75 and 1.5 s; from 2.25 only 57 % is speech
    assert speech_windows(audio[:0], probabilities[:0], config) == []


def test_pieces_leave_out_a_short_rest_but_never_everything():
    assert [len(p) for p in pieces(np.zeros(25 * RATE), 10.0)] == [160_000, 160_000, 80_000]
    assert [len(p) for p in pieces(np.zeros(24 * RATE), 10.0)] == [160_000, 160_000]
    assert [len(p) for p in pieces(np.zeros(RATE), 10.0)] == [RATE]


def test_their_keys_follow_every_file_of_the_folder_and_other_folders_are_refused(music_folder, tmp_path, laptop):
    import shutil

    bench = Bench(laptop.video, PuppetKeypoints(), (), 4)
    folder = shutil.copytree(music_folder, tmp_path / "ast")
    scores = ScoresConfig(music=MusicConfig(weights=str(folder)))
    before = MUSIC.key(scores, bench)
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace("4.5689974", "4.5"))
    assert MUSIC.key(scores, bench) != before, "how sound is prepared decides the value too"
    with pytest.raises(CurationError, match=r"language.weights: .* cannot be loaded as a multilingual Whisper"):
        LANGUAGE.compute(heard(laptop, tone(0, 3)), LanguageConfig(weights=str(folder)))
    (folder / "model.safetensors").unlink()
    for score, config, model in (
        (MUSIC, MusicConfig(weights=str(folder)), "MIT/ast"),
        (LANGUAGE, LanguageConfig(weights="/nowhere"), "openai/whisper"),
        (SPEAKERS, SpeakersConfig(weights="/nowhere"), "microsoft/wavlm"),
    ):
        with pytest.raises(
            CurationError, match=rf"curation.scores.{score.name}.weights is .* no folder with config.json.*{model}"
        ):
            score.weights(config)
