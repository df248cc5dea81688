"""Puppet sync columns: by how many frames mouth and sound are apart and how surely, by a network of puppets. It is no SyncNet."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curation.errors import CurationError
from curation.people.keypoints import CONFIDENT, INNER_LIP_BOTTOM, INNER_LIP_TOP
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.sound.signal import at_16_khz
from curation.weights import kept, weights_file, weights_version
from profiles.scores import PuppetSyncConfig

if TYPE_CHECKING:
    from networks.puppet_sync import PuppetSync

COLUMNS = ("puppet_sync_offset", "puppet_sync_confidence")


def mouth_centre(keypoints: np.ndarray) -> np.ndarray | None:
    """Median (x, y) in pixels between the inner lips over the frames of `(T, 133, 3)` that show both; None where none does."""
    lips = keypoints[:, [INNER_LIP_TOP, INNER_LIP_BOTTOM]]
    seen = (lips[..., 2] > CONFIDENT).all(axis=1)
    return np.median(lips[seen, :, :2].mean(axis=1), axis=0) if seen.any() else None


def model_file(config: PuppetSyncConfig) -> Path:
    """The weights' file."""
    return weights_file(
        config.weights,
        "curation.scores.puppet_sync.weights",
        "train it with training/recipes/puppet_sync.py, or set it to null",
    )


@kept
def _network(path: str) -> "PuppetSync":
    from networks.puppet_sync import load_puppet_sync
    from networks.weights import NetworkError

    try:
        return load_puppet_sync(Path(path))
    except NetworkError as error:
        raise CurationError(str(error)) from error


def score(material: Material, config: PuppetSyncConfig) -> Values:
    """Both columns; NaN without sound, without a mouth, or with fewer than `fewest` windows of five frames at some lag.

    Raises:
        CurationError: no weights, other ones, or a profile that is not at the network's 16 frames per second.
    """
    from networks.puppet_sync import FPS, count_windows, cut_mouths, embed, find_shift

    if material.bench.video.fps != FPS:
        raise CurationError(
            f"curation.scores.puppet_sync knows puppets at {FPS:g} frames per second and the profile has "
            f"{material.bench.video.fps:g}; set it to null, and lip_sync to SyncNet's weights"
        )
    path = model_file(config)
    network = _network(str(path), weights_version(path))
    audio = at_16_khz(material.audio, material.bench.video.sample_rate)
    centre = mouth_centre(material.detected.keypoints)
    if audio is None or centre is None or count_windows(len(material.frames), len(audio)) - config.lags < config.fewest:
        return without_meaning(*COLUMNS)
    shift = find_shift(*embed(network, cut_mouths(material.frames, centre), audio), config.lags)
    return {"puppet_sync_offset": float(shift.offset), "puppet_sync_confidence": shift.confidence}


PUPPET_SYNC = Score(
    "puppet_sync", "1", floats(*COLUMNS), ("frames", "keypoints", "audio"), score,
    lambda config: weights_version(model_file(config)),
)  # fmt: skip
