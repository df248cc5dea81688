"""Is it the same face, and does it stay the same: cosines of ArcFace embeddings, distances of dlib's."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean, Network

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

ARCFACE = "arcface"
DLIB_FACE = "dlib-face-recognition-resnet-v1"


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


class _ToReference(ClipMean):
    """Mean over frames with a face of what `_between` says of a frame's embedding and the reference's: the picture that the method
    was given. Only where no such picture is known the real clip's first frame stands for it."""

    def __init__(self, network: Network):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The faces of the reference and of the generated video."""
        judge = self.needs[0]
        self.update(seen.name, seen.reference_embedding(judge), seen.embeddings(judge))

    def update(self, clip: str, reference: np.ndarray, generated: np.ndarray) -> None:
        """`(D,)` and `(T, D)` embeddings, NaN in rows without a face. NaN where either side shows none."""
        seen = _seen(generated, self.name, clip)
        shown = np.isfinite(reference).all() and len(seen)
        self._add(clip, float(self._between(seen, reference[None]).mean()) if shown else float("nan"))

    @abstractmethod
    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """`(n, D)` and `(1, D)` to `(n,)`."""


class _FirstToLast(ClipMean):
    """What `_between` says of the mean embeddings of a clip's first and last segment; 0 is a face that stays."""

    def __init__(self, network: Network, segments: int = 4):
        super().__init__(network)
        self.segments = segments

    def settings(self) -> dict[str, Any]:
        """With the number of segments."""
        return super().settings() | {"segments": self.segments}

    def observe(self, seen: "Observed") -> None:
        """The faces of the generated video."""
        self.update(seen.name, seen.embeddings(self.needs[0]))

    def update(self, clip: str, generated: np.ndarray) -> None:
        """`(T, D)` embeddings, NaN in rows without a face. NaN where the first or last segment shows none."""
        first, *_, last = np.array_split(generated, self.segments)
        ends = [_seen(part, self.name, clip) for part in (first, last)]
        if not all(map(len, ends)):
            self._add(clip, float("nan"))
            return
        a, b = (part.mean(axis=0, keepdims=True) for part in ends)
        self._add(clip, float(self._between(a, b)[0]))

    @abstractmethod
    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """`(n, D)` and `(1, D)` to `(n,)`."""


class CosineSimilarity(_ToReference):
    """CSIM = mean over frames with a face of cos(e_t, e_reference), e from ArcFace. The reference is the picture that the method was given,
    or the real clip's first frame where none is known."""

    name = "csim"
    unit = "cosine"
    higher_is_better = True
    title = "CSIM"
    aspect = "identity"
    reading = Reading(AUDIO, 16)
    damage = ("more noise", "another sample")
    needs = ("arcface", "keypoints", "reference")
    architecture = ARCFACE

    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _cosine(a, b)


class IdentityDrift(_FirstToLast):
    """1 - cos(mean embedding of the clip's last segment, of its first), from ArcFace."""

    name = "identity_drift"
    unit = "1 - cosine"
    higher_is_better = False
    title = "identity drift"
    aspect = "identity drift"
    reading = Reading(AUDIO, 19)
    damage = ("swap midway",)
    needs = ("arcface", "keypoints")
    architecture = ARCFACE

    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 1 - _cosine(a, b)


class DlibFaceDistance(_ToReference):
    """Mean over frames with a face of |e_t - e_reference|, e from dlib's network, which was trained to put two people further than
    0.6 apart and one person's pictures closer (dlib's `face_recognition.py`). Not CSIM: another network and another measure."""

    name = "dlib_face_distance"
    unit = "distance"
    higher_is_better = False
    title = "dlib face distance"
    aspect = "identity"
    reading = Reading(AUDIO, 17)
    damage = ("more noise", "another sample")
    needs = ("dlib_face", "keypoints", "reference")
    architecture = DLIB_FACE

    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a - b, axis=1)


class DlibFaceDrift(_FirstToLast):
    """|mean embedding of the clip's last segment - of its first|, from dlib's network."""

    name = "dlib_face_drift"
    unit = "distance"
    higher_is_better = False
    title = "dlib face drift"
    aspect = "identity drift"
    reading = Reading(AUDIO, 18)
    damage = ("swap midway",)
    needs = ("dlib_face", "keypoints")
    architecture = DLIB_FACE

    def _between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a - b, axis=1)


def _seen(vectors: np.ndarray, metric: str, clip: str) -> np.ndarray:
    if vectors.ndim != 2 or not len(vectors):
        raise MetricError(f"{metric}: embeddings of clip {clip} are {vectors.shape}, not (T, D)")
    return vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)
