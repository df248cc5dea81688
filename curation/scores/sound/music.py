"""Music: in how much of the sound a classifier of AudioSet hears it (Audio Spectrogram Transformer, Gong et al. 2021)."""

from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import CurationError
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.pretrained import FROM_DISK, folder_version, loaded, model_folder, whole_network
from curation.scores.sound.signal import RATE, at_16_khz, pieces
from curation.weights import kept
from profiles.scores import MusicConfig

KEY = "curation.scores.music.weights"
COLUMNS = ("music_share", "music_probability")
SECONDS = 10.0  # a window; AudioSet's clips, which the network was trained on, are as long
BATCH = 8


def label_indices(id2label: dict[int, str], wanted: tuple[str, ...]) -> list[int]:
    """Outputs of the network by their names.

    Raises:
        CurationError: the network has no such label.
    """
    indices = {label: index for index, label in id2label.items()}
    absent = [label for label in wanted if label not in indices]
    if absent:
        raise CurationError(
            f"curation.scores.music.labels names {absent[0]!r}, which the network does not know; its config.json lists "
            f"{len(indices)} labels under id2label, such as {', '.join(sorted(indices)[:5])}"
        )
    return [int(indices[label]) for label in wanted]


def music_columns(probabilities: np.ndarray, threshold: float) -> Values:
    """Columns of `(windows, labels)` probabilities: share of windows where any label reaches the threshold, and the mean of
    the highest."""
    highest = probabilities.max(axis=1)
    return {"music_share": float((highest >= threshold).mean()), "music_probability": float(highest.mean())}


def label_probabilities(network: Any, extractor: Any, windows: list[np.ndarray]) -> np.ndarray:
    """`(windows, labels)` in [0, 1], each label by itself (AudioSet's clips have several)."""
    import torch

    probabilities = []
    with torch.inference_mode():
        for start in range(0, len(windows), BATCH):
            given = extractor(windows[start : start + BATCH], sampling_rate=RATE, return_tensors="pt")
            probabilities.append(network(given["input_values"].to(network.device)).logits.sigmoid().cpu().numpy())
    return np.concatenate(probabilities)


@kept
def _network(path: str, device: str) -> tuple[Any, Any]:
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    return loaded(
        path, KEY, "ASTForAudioClassification",
        lambda folder: (whole_network(ASTForAudioClassification, folder, device), ASTFeatureExtractor.from_pretrained(folder, **FROM_DISK)),
    )  # fmt: skip


def _folder(config: MusicConfig) -> Path:
    return model_folder(config.weights, KEY, "MIT/ast-finetuned-audioset-10-10-0.4593")


def score(material: Material, config: MusicConfig) -> Values:
    """Columns `music_share` and `music_probability`; NaN without sound.

    Raises:
        CurationError: no weights, other ones, or a label that they do not have.
    """
    audio = at_16_khz(material.audio, material.bench.video.sample_rate)
    if audio is None or not len(audio):
        return without_meaning(*COLUMNS)
    folder = _folder(config)
    network, extractor = _network(str(folder), folder_version(folder), material.bench.device)
    chosen = label_indices(network.config.id2label, config.labels)
    return music_columns(label_probabilities(network, extractor, pieces(audio, SECONDS))[:, chosen], config.threshold)


MUSIC = Score("music", "ast-1", floats(*COLUMNS), ("audio",), score, lambda config: folder_version(_folder(config)))
