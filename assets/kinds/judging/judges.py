"""Curation's detectors and SyncNet as evaluation wants its judges: evaluation may not import curation, so they are handed to it here."""

from pathlib import Path

import numpy as np
import torch

from curation.people.keypoints import KeypointDetector
from curation.scores.person.syncnet.faces import face_boxes
from curation.scores.person.syncnet.network import SyncNetStreams
from curation.scores.person.syncnet.score import FPS, LONGEST_SECONDS, RATE, WINDOW, judge
from evaluation.metrics import Network, Sync
from evaluation.metrics.lip_sync import SYNCNET
from media import decode_clip
from networks.on_device import CPU
from networks.weights import identify, opened
from profiles.scores import LipSyncConfig

REMEDY = "download syncnet_v2.model (github.com/joonson/syncnet_python, download_model.sh)"


class DetectorJudge:
    """A keypoint detector, named as a metric's network."""

    def __init__(self, detector: KeypointDetector):
        self.detector = detector
        self.network = Network(detector.name, str(detector.version), "whole frames at the sample's size")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 to `(T, 133, 3)`."""
        return self.detector(frames)


class SyncNetJudge:
    """SyncNet v2: a video with sound in, Sync-C, Sync-D and offset out."""

    def __init__(self, path: Path, detector: DetectorJudge, device: torch.device = CPU):
        """Load by path, onto `device`.

        Raises:
            networks.weights.NetworkError: no such file, or another network.
        """
        seen = f"{detector.network.architecture} {detector.network.sha256}"
        protocol = f"25 fps, 16 kHz, vshift 15, face box from 68 points of {seen}"
        self.network = identify(path, SYNCNET, protocol, REMEDY)
        self._model = opened(path, SYNCNET, REMEDY, lambda: SyncNetStreams(path, device))
        self._config, self._detector = LipSyncConfig(weights=str(path)), detector

    def __call__(self, video: Path | bytes) -> Sync | None:
        """None without sound or face, or with less than six frames."""
        clip = decode_clip(video, FPS, RATE, max_seconds=LONGEST_SECONDS)
        keypoints = self._detector(clip.frames)
        seen = face_boxes(keypoints)[:, 0]
        if clip.audio is None or not np.isfinite(seen).any() or len(clip.frames) <= WINDOW + 1:
            return None
        found = judge(self._model, clip.frames, clip.audio, keypoints, self._config)
        return Sync(found.confidence, found.distance, float(found.offset))
