"""What looks at videos. Networks by path, out of packages or of the profile; this room knows only what each answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from evaluation.metrics.observation.needs import JUDGES, Need
from evaluation.metrics.puppet_truth import PuppetTruth
from evaluation.networks.feature_cache import FeatureCache
from networks.weights import Network


class Judge(Protocol):
    """Anything with weights; `network` says which."""

    @property
    def network(self) -> Network:
        """Architecture, weights' hash or version, and what was done to the pixels."""
        ...


class Keypoints(Judge, Protocol):
    """A detector of the 133 keypoints."""

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 to `(T, 133, 3)` x, y, confidence."""
        ...


class FeatureExtractor(Judge, Protocol):
    """A network whose features are a row per frame or window."""

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 to `(n, D)` float32."""
        ...


class FaceEmbedding(Judge, Protocol):
    """A face network."""

    def __call__(self, frames: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 and `(T, 133, 3)` in its pixels to `(T, D)` float32, NaN in rows without a face."""
        ...


class PictureLevels(Judge, Protocol):
    """A network of the quality of pictures."""

    def __call__(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """`(T, H, W, 3)` uint8 to `(S, 2)` float32: quality and aesthetics, 1 to 5, of one frame for each second begun."""
        ...


class SpeechOpinions(Judge, Protocol):
    """A network that hears how good speech sounds."""

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        """`(S,)` float32 at 16 kHz to `(3,)`: speech, background and all of it, about 1 to 5."""
        ...


@dataclass(frozen=True)
class Features:
    """Of one clip: `(n, D)` of the real and `(m, D)` of the generated one, a row per frame or window, float32."""

    real: np.ndarray
    generated: np.ndarray


@dataclass(frozen=True)
class Sync:
    """Of one video: `confidence` (Sync-C), `distance` (Sync-D), `offset` in frames at 25 per second."""

    confidence: float
    distance: float
    offset: float


class SyncJudge(Protocol):
    """SyncNet v2 with its authors' protocol (25 fps, 16 kHz, vshift 15)."""

    @property
    def network(self) -> Network:
        """Architecture `syncnet-v2`, and the weights' hash."""
        ...

    def __call__(self, video: Path | bytes) -> Sync | None:
        """None without sound or face, or with less than six frames."""
        ...


@dataclass(frozen=True)
class Instruments:
    """Judges by the name of the need that they meet; None is one that is not there, and then its metrics are not measurable.

    Attributes:
        puppets: the truth of puppets by the sample's name, for samples that do not bring it themselves.
        cache: of features.
    """

    inception: FeatureExtractor | None = None
    i3d: FeatureExtractor | None = None
    arcface: FaceEmbedding | None = None
    dlib_face: FaceEmbedding | None = None
    qalign: PictureLevels | None = None
    keypoints: Keypoints | None = None
    syncnet: SyncJudge | None = None
    imagenet: FeatureExtractor | None = None
    dnsmos: SpeechOpinions | None = None
    puppets: Mapping[str, PuppetTruth] | None = None
    cache: FeatureCache = field(default_factory=FeatureCache)

    def networks(self) -> list[Network]:
        """What looks, each by its weights: two sets of instruments with the same see the same."""
        judges = (getattr(self, need) for need in JUDGES)
        return [judge.network for judge in judges if judge is not None]

    def judge(self, need: Need) -> Judge | None:
        """The judge that meets a need, None where it is not there."""
        found: Judge | None = getattr(self, need)
        return found
