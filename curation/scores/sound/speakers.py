"""How many people speak: speaker embeddings of speech (WavLM x-vectors, Chen et al. 2022), clustered."""

from pathlib import Path
from typing import Any

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from curation.scores.pretrained import FROM_DISK, folder_version, loaded, model_folder, whole_network
from curation.scores.sound.signal import RATE, at_16_khz
from curation.scores.sound.speech import WINDOW, model_file, session, speech_probabilities
from curation.weights import kept, weights_version
from profiles.scores import SpeakersConfig

KEY = "curation.scores.speakers.weights"
COLUMNS = ("speaker_count", "main_speaker_share")
BATCH = 8


def speech_windows(audio: np.ndarray, probabilities: np.ndarray, config: SpeakersConfig) -> list[np.ndarray]:
    """Windows of `(S,)` samples at 16 kHz in which speech is likely in at least `config.speech` of the time.

    Args:
        audio: 16 kHz.
        probabilities: silero-vad's, of each 512 samples.
        config: lengths and limits.
    """
    size, hop = round(config.seconds * RATE), round(config.hop * RATE)
    spoken = np.repeat(probabilities >= config.vad.threshold, WINDOW)
    starts = range(0, max(1, len(audio) - size + 1), hop)
    return [
        audio[s : s + size]
        for s in starts
        if len(spoken[s : s + size]) and spoken[s : s + size].mean() >= config.speech
    ]


def speaker_labels(embeddings: np.ndarray, similarity: float) -> np.ndarray:
    """`(N,)` cluster numbers of `(N, D)` embeddings: agglomerative, average linkage, merged while the mean cosine similarity
    of two clusters is at least `similarity`."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(embeddings) < 2:
        return np.ones(len(embeddings), int)
    return fcluster(linkage(embeddings, "average", "cosine"), 1.0 - similarity, "distance")


def speaker_columns(labels: np.ndarray, least_share: float) -> Values:
    """Columns: clusters that hold at least `least_share` of the windows (a window across a change of speakers makes one of its
    own), and the share of the largest; 0 and NaN where nobody speaks."""
    if not len(labels):
        return {"speaker_count": 0.0, "main_speaker_share": float("nan")}
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return {"speaker_count": float(max(1, (shares >= least_share).sum())), "main_speaker_share": float(shares.max())}


def speaker_embeddings(network: Any, extractor: Any, windows: list[np.ndarray]) -> np.ndarray:
    """`(N, D)` x-vectors of windows of one length."""
    import torch

    vectors = []
    with torch.inference_mode():
        for start in range(0, len(windows), BATCH):
            given = extractor(windows[start : start + BATCH], sampling_rate=RATE, return_tensors="pt")
            vectors.append(network(given["input_values"].to(network.device)).embeddings.cpu().numpy())
    return np.concatenate(vectors)


@kept
def _network(path: str, device: str) -> tuple[Any, Any]:
    from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

    return loaded(
        path, KEY, "WavLMForXVector",
        # objective: the training loss's own matrix; masked_spec_embed: what stands for masked sound in training
        lambda folder: (whole_network(WavLMForXVector, folder, device, (r"objective\.", r"wavlm\.masked_spec_embed$")), Wav2Vec2FeatureExtractor.from_pretrained(folder, **FROM_DISK)),
    )  # fmt: skip


def _folder(config: SpeakersConfig) -> Path:
    return model_folder(config.weights, KEY, "microsoft/wavlm-base-plus-sv")


def score(material: Material, config: SpeakersConfig) -> Values:
    """Columns `speaker_count` and `main_speaker_share`; NaN without sound.

    Raises:
        CurationError: no weights, or other ones.
    """
    audio = at_16_khz(material.audio, material.bench.video.sample_rate)
    if audio is None:
        return dict.fromkeys(COLUMNS, float("nan"))
    windows = speech_windows(audio, speech_probabilities(session(config.vad), audio), config)
    if not windows:
        return speaker_columns(np.zeros(0, int), config.least_share)
    folder = _folder(config)
    vectors = speaker_embeddings(*_network(str(folder), folder_version(folder), material.bench.device), windows)
    return speaker_columns(speaker_labels(vectors, config.similarity), config.least_share)


def _version(config: SpeakersConfig) -> str:
    return f"{folder_version(_folder(config))} {weights_version(model_file(config.vad))}"


SPEAKERS = Score("speakers", "wavlm-1", floats(*COLUMNS), ("audio",), score, _version)
