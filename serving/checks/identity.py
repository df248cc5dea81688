"""How far the face of a video is from its reference's: by a network of faces where the profile has one, by colours for puppets."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from assets.kinds.detectors import PUPPETS as PUPPET_DETECTOR
from assets.kinds.judging.instruments import dlib_by
from assets.kinds.judging.judges import DetectorJudge
from curation.people.keypoints import KeypointDetector
from evaluation.networks.arcface import ArcFaceEmbedding
from evaluation.networks.packaged import if_installed
from profiles import Profile
from puppets.measure import measure_colours
from puppets.render import SIZE

COLOURS, ARCFACE, DLIB, NOTHING = "puppets' colours", "arcface", "dlib", "nothing"
# Beyond these it counts as somebody else: half of what two colours of a palette differ by, and what the two networks' authors call
# another person (dlib.net/face_recognition.py.html: 0.6; cosine 0.3, insightface's usual bound, is a distance of 0.7).
FARTHEST = {COLOURS: 0.1, ARCFACE: 0.7, DLIB: 0.6, NOTHING: float("inf")}

# Frames `(T, H, W, 3)`, their keypoints `(T, 133, 3)`, the reference `(H, W, 3)` and its own `(1, 133, 3)` to a distance, NaN without a face.
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


class _Embedding(Protocol):
    def __call__(self, frames: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """`(T, D)`, NaN in rows without a face."""
        ...


class IdentityReader:
    """What a profile's faces are told apart by; `by` is one of the names above."""

    def __init__(self, profile: Profile, detector: KeypointDetector):
        """Open the network that the profile names, else dlib's where its package is installed.

        Raises:
            networks.weights.NetworkError: a file that is missing or another network.
        """
        self.by, self._distance = _reader(profile, detector)

    @property
    def farthest(self) -> float:
        """Beyond it the face is somebody else's."""
        return FARTHEST[self.by]

    def __call__(
        self, frames: np.ndarray, keypoints: np.ndarray, reference: np.ndarray, reference_keypoints: np.ndarray
    ) -> float:
        """See `Distance`."""
        return self._distance(frames, keypoints, reference, reference_keypoints)


def _reader(profile: Profile, detector: KeypointDetector) -> tuple[str, Distance]:
    if profile.encoders.keypoints == PUPPET_DETECTOR:
        return COLOURS, _by_colours
    named = profile.evaluation.networks
    if named.arcface:
        return ARCFACE, _by_network(ArcFaceEmbedding(Path(named.arcface)), _cosine_distance)
    dlib = if_installed(lambda: dlib_by(DetectorJudge(detector)))
    return (NOTHING, _unknown) if dlib is None else (DLIB, _by_network(dlib, _euclidean))


def _by_colours(
    frames: np.ndarray, keypoints: np.ndarray, reference: np.ndarray, reference_keypoints: np.ndarray
) -> float:
    if frames.shape[1:3] != (SIZE, SIZE) or reference.shape[:2] != (SIZE, SIZE):
        return float("nan")
    return float(np.abs(measure_colours(frames) - measure_colours(reference[None])).mean())


def _by_network(embed: _Embedding, between: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Distance:
    def distance(
        frames: np.ndarray, keypoints: np.ndarray, reference: np.ndarray, reference_keypoints: np.ndarray
    ) -> float:
        shown, seen = embed(reference[None], reference_keypoints), embed(frames, keypoints)
        seen = seen[np.isfinite(seen).all(axis=1)]
        return float(between(seen, shown).mean()) if len(seen) and np.isfinite(shown).all() else float("nan")

    return distance


def _cosine_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(1 - (a * b).sum(axis=1))


def _euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(a - b, axis=1))


def _unknown(
    frames: np.ndarray, keypoints: np.ndarray, reference: np.ndarray, reference_keypoints: np.ndarray
) -> float:
    return float("nan")
