"""Lip-sync columns: SyncNet over the clip's face at 25 frames per second."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curation.people.keypoints import detect
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.person.syncnet.faces import cut_faces, face_boxes, steady
from curation.scores.person.syncnet.mfcc import mfcc
from curation.scores.person.syncnet.offset import SyncResult, find_offset
from curation.weights import kept, weights_file, weights_version
from media import decode_clip
from profiles.scores import LipSyncConfig

if TYPE_CHECKING:
    from curation.scores.person.syncnet.network import SyncNetStreams

COLUMNS = ("sync_offset_frames", "sync_confidence", "sync_distance")
FPS, RATE = 25.0, 16_000
WINDOW = 5  # frames; 20 steps of sound
LONGEST_SECONDS = 20.0  # decoded faces of longer clips would fill memory; the beginning is judged
FULL_SCALE = 32_767


def embed(
    network: "SyncNetStreams", faces: np.ndarray, audio: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lips and sound, `(N, 1024)` each, for every start of a five-frame window.

    Args:
        network: SyncNet.
        faces: `(T, 224, 224, 3)` uint8 BGR at 25 frames per second.
        audio: `(S,)` float in [-1, 1] at 16 kHz.
        batch_size: windows at a time.

    Raises:
        ValueError: not one window of sound and faces.
    """
    import torch

    count = min(len(faces), len(audio) // int(RATE / FPS)) - WINDOW
    if count < 1:
        raise ValueError("SyncNet needs more than five frames of faces and sound")
    coefficients = mfcc(np.round(audio * FULL_SCALE), RATE).T[None]
    lips, sound = [], []
    with torch.inference_mode():
        for start in range(0, count, batch_size):
            windows = range(start, min(count, start + batch_size))
            pictures = np.stack([faces[i : i + WINDOW].transpose(3, 0, 1, 2) for i in windows]).astype(np.float32)
            steps = np.stack([coefficients[:, :, 4 * i : 4 * i + 20] for i in windows]).astype(np.float32)
            lips.append(network.embed_lips(torch.from_numpy(pictures)).numpy())
            sound.append(network.embed_sound(torch.from_numpy(steps)).numpy())
    return np.concatenate(lips), np.concatenate(sound)


def judge(
    network: "SyncNetStreams", frames: np.ndarray, audio: np.ndarray, keypoints: np.ndarray, config: LipSyncConfig
) -> SyncResult:
    """Offset, confidence and distance of one clip.

    Args:
        network: SyncNet.
        frames: `(T, H, W, 3)` uint8 RGB at 25 frames per second.
        audio: `(S,)` at 16 kHz.
        keypoints: `(T, 133, 3)` in the pixels of `frames`.
        config: the protocol's numbers.

    Raises:
        ValueError: no face, or less than six frames.
    """
    faces = cut_faces(frames, steady(face_boxes(keypoints)), config.crop_scale)
    return find_offset(*embed(network, faces, audio, config.batch_size), config.vshift)


def model_file(config: LipSyncConfig) -> Path:
    """The weights' file."""
    remedy = "download syncnet_v2.model (github.com/joonson/syncnet_python, download_model.sh), or set it to null"
    return weights_file(config.weights, "curation.scores.lip_sync.weights", remedy)


@kept
def _network(path: str, device: str) -> "SyncNetStreams":
    from curation.scores.person.syncnet.network import SyncNetStreams

    return SyncNetStreams(Path(path), device)


def score(material: Material, config: LipSyncConfig) -> Values:
    """The three columns and `sync_coverage`, the share of frames with a face; NaN without sound or face.

    SyncNet wants 25 frames per second at the source's size: the clip is decoded once more for it.

    Raises:
        CurationError: no weights, or other ones.
    """
    path = model_file(config)
    network = _network(str(path), weights_version(path), material.bench.device)
    clip = decode_clip(material.data, FPS, RATE, max_seconds=LONGEST_SECONDS)
    keypoints = detect(material.bench.detector, clip.frames).keypoints
    seen = np.isfinite(face_boxes(keypoints)[:, 0])
    coverage: Values = {"sync_coverage": float(seen.mean())}
    if clip.audio is None or not seen.any() or len(clip.frames) <= WINDOW + 1:
        return coverage | without_meaning(*COLUMNS)
    sync = judge(network, clip.frames, clip.audio, keypoints, config)
    return coverage | {
        "sync_offset_frames": float(sync.offset),
        "sync_confidence": sync.confidence,
        "sync_distance": sync.distance,
    }


LIP_SYNC = Score(
    "lip_sync", "syncnet-v2-1", floats(*COLUMNS, "sync_coverage"), ("data", "keypoints"), score,
    lambda config: weights_version(model_file(config)),
)  # fmt: skip
