"""Spoken language, by the token that Whisper begins a transcript with (Radford et al. 2022, section 2.3)."""

from pathlib import Path
from typing import Any

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values
from curation.scores.pretrained import FROM_DISK, folder_version, loaded, model_folder, whole_network
from curation.scores.sound.signal import RATE, at_16_khz, pieces
from curation.weights import kept
from profiles.scores import LanguageConfig

KEY = "curation.scores.language.weights"
SECONDS = 30.0  # what Whisper hears at once


def language_of(probabilities: np.ndarray, names: list[str], lengths: np.ndarray) -> Values:
    """Columns: the language that is likeliest over all windows, and how likely.

    Args:
        probabilities: `(windows, languages)`, each row adding up to 1.
        names: of the languages.
        lengths: `(windows,)` samples; a longer window counts more.
    """
    mean = np.average(probabilities, axis=0, weights=lengths)
    best = int(mean.argmax())
    return {"language": names[best], "language_probability": float(mean[best])}


def language_tokens(network: Any) -> dict[str, int]:
    """Name (`en`) to token.

    Raises:
        ValueError: it is one of the models for English alone, or an export without generation_config.json.
    """
    tokens = getattr(network.generation_config, "lang_to_id", None)
    if not tokens:
        raise ValueError(
            "its generation_config.json has no lang_to_id; take a multilingual model, not one that ends in .en"
        )
    return {token.strip("<|>"): index for token, index in tokens.items()}


def language_probabilities(network: Any, extractor: Any, windows: list[np.ndarray]) -> np.ndarray:
    """`(windows, languages)`: the first token's softmax over the tokens of languages alone, in their order."""
    import torch

    tokens = list(language_tokens(network).values())
    first = torch.full((1, 1), network.generation_config.decoder_start_token_id, device=network.device)
    probabilities = []
    with torch.inference_mode():
        for window in windows:
            heard = extractor(window, sampling_rate=RATE, return_tensors="pt").input_features.to(network.device)
            logits = network(input_features=heard, decoder_input_ids=first, use_cache=False).logits[0, -1]
            probabilities.append(logits[tokens].softmax(dim=-1).cpu().numpy())
    return np.stack(probabilities)


@kept
def _network(path: str, device: str) -> tuple[Any, Any, list[str]]:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    def load(folder: str) -> tuple[Any, Any, list[str]]:
        network = whole_network(WhisperForConditionalGeneration, folder, device)
        return network, WhisperFeatureExtractor.from_pretrained(folder, **FROM_DISK), list(language_tokens(network))

    return loaded(path, KEY, "a multilingual WhisperForConditionalGeneration", load)


def _folder(config: LanguageConfig) -> Path:
    return model_folder(config.weights, KEY, "openai/whisper-small")


def score(material: Material, config: LanguageConfig) -> Values:
    """Columns `language` (Whisper's code, such as `en`; missing without sound) and `language_probability`.

    Whisper names a language for music and noise too: ask for speech beside it.

    Raises:
        CurationError: no weights, or other ones.
    """
    audio = at_16_khz(material.audio, material.bench.video.sample_rate)
    if audio is None or not len(audio):
        return {"language": None, "language_probability": float("nan")}
    folder = _folder(config)
    network, extractor, names = _network(str(folder), folder_version(folder), material.bench.device)
    windows = pieces(audio, SECONDS)[: config.windows]
    probabilities = language_probabilities(network, extractor, windows)
    return language_of(probabilities, names, np.array([len(window) for window in windows]))


LANGUAGE = Score(
    "language", "whisper-1", {"language": "text", "language_probability": "float"}, ("audio",), score,
    lambda config: folder_version(_folder(config)),
)  # fmt: skip
