"""Is it the same face, and does it stay the same: cosines of ArcFace embeddings."""

from typing import Any

import numpy as np

from evaluation.metrics.streaming import ClipMean, MetricError, Network

ARCFACE = "arcface"


class CosineSimilarity(ClipMean):
    """CSIM = mean over frames with a face of cos(e_t, e_reference), e from ArcFace."""

    name, unit, higher_is_better = "csim", "cosine", True
    architecture = ARCFACE

    def __init__(self, network: Network):
        super().__init__(network)

    def update(self, clip: str, reference: np.ndarray, generated: np.ndarray) -> None:
        """`(D,)` and `(T, D)` unit vectors, NaN in rows without a face. NaN where either side shows none."""
        seen = _seen(generated, self.name, clip)
        if not np.isfinite(reference).all() or not len(seen):
            self._add(clip, float("nan"))
            return
        self._add(clip, float((_unit(seen) @ _unit(reference[None])[0]).mean()))


class IdentityDrift(ClipMean):
    """1 - cos(mean embedding of the clip's last segment, of its first); 0 is a face that stays."""

    name, unit, higher_is_better = "identity_drift", "1 - cosine", False
    architecture = ARCFACE

    def __init__(self, network: Network, segments: int = 4):
        super().__init__(network)
        self.segments = segments

    def settings(self) -> dict[str, Any]:
        """With the number of segments."""
        return super().settings() | {"segments": self.segments}

    def update(self, clip: str, generated: np.ndarray) -> None:
        """`(T, D)` unit vectors, NaN in rows without a face. NaN where the first or last segment shows none."""
        first, *_, last = np.array_split(generated, self.segments)
        ends = [_seen(part, self.name, clip) for part in (first, last)]
        if not all(map(len, ends)):
            self._add(clip, float("nan"))
            return
        a, b = (_unit(part.mean(axis=0, keepdims=True))[0] for part in ends)
        self._add(clip, float(1 - a @ b))


def _seen(vectors: np.ndarray, metric: str, clip: str) -> np.ndarray:
    if vectors.ndim != 2 or not len(vectors):
        raise MetricError(f"{metric}: embeddings of clip {clip} are {vectors.shape}, not (T, D)")
    return vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
