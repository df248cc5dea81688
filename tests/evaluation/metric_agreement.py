"""Every metric against an independent reference on fixed random input: scipy's closed forms, or the definition in plain loops.

`python -m tests.evaluation.metric_agreement` writes the table that is kept in docs/results/metric_agreement.md.
"""

import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.metrics import (
    AverageKeypointDistance,
    CosineSimilarity,
    DlibFaceDistance,
    DlibFaceDrift,
    FrechetInceptionDistance,
    FrechetVideoDistance,
    HandKeypointConfidence,
    HandKeypointVariance,
    HandKeypointVariancePerBodyLength,
    IdentityDrift,
    KernelInceptionDistance,
    KernelVideoDistance,
    MissingKeypoints,
    Network,
)
from evaluation.metrics.distances.distributions import ImageNetFrechetDistance
from evaluation.metrics.puppet_truth import PuppetTruth
from evaluation.metrics.registry import METRICS, PUPPET_METRICS
from evaluation.metrics.streamed.puppets import StreamedPuppetMetric
from puppets.measure import Measurement
from tests.evaluation.agreement_of_people import PEOPLE
from tests.evaluation.agreement_of_pixels import CLIPS, PIXELS

KEPT = Path(__file__).parents[2] / "docs" / "results" / "metric_agreement.md"


@dataclass(frozen=True)
class Agreement:
    """`error` is relative to the reference's value; `reference` says what that is."""

    reference: str
    error: float


def agreements() -> dict[str, Agreement]:
    """Of every metric that this room computes by itself. Sync-C and Sync-D come from a judge that is tested where it lives."""
    return {name: Agreement(reference, _relative(*pair())) for name, (reference, pair) in _CASES.items()}


def _relative(ours: float, theirs: float) -> float:
    return abs(ours - theirs) / max(abs(theirs), 1e-12)


def _network(architecture: str) -> Network:
    return Network(architecture, "0" * 64, "random input")


def _frechet(kind: type) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        from scipy.linalg import sqrtm

        rng, metric = np.random.default_rng(0), kind(_network(kind.architecture))  # type: ignore[attr-defined]
        sides = [[rng.normal(m, s, (60, 24)) for _ in range(CLIPS)] for m, s in ((0.0, 1.0), (0.3, 1.4))]
        for clip, (real, generated) in enumerate(zip(*sides, strict=True)):
            metric.update(str(clip), real, generated)
        (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in map(np.concatenate, sides))
        theirs = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
        return metric.compute().value, float(theirs)

    return pair


def _kernel(kind: type) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        rng, metric = np.random.default_rng(1), kind(_network(kind.architecture))  # type: ignore[attr-defined]
        sides = [[rng.normal(m, 1.0, (4, 6)) for _ in range(CLIPS)] for m in (0.0, 0.5)]
        for clip, (real, generated) in enumerate(zip(*sides, strict=True)):
            metric.update(str(clip), real, generated)
        x, y = map(np.concatenate, sides)

        def k(a: np.ndarray, b: np.ndarray) -> float:
            return (sum(p * q for p, q in zip(a, b, strict=True)) / 6 + 1) ** 3

        n = len(x)
        own = sum(k(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        return metric.compute().value, own - 2 * sum(k(a, b) for a in x for b in y) / n**2

    return pair


def _keypoints(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    places, seen = rng.uniform(0, 64, (CLIPS, 5, 133, 2)), rng.uniform(0, 1, (CLIPS, 5, 133, 1))
    seen[:, :, 5:7] = 0.9  # shoulders
    return list(np.concatenate([places, seen], axis=-1))


def _hkc() -> tuple[float, float]:
    metric = HandKeypointConfidence(_network("keypoints"))
    clips = _keypoints(2)
    for clip, points in enumerate(clips):
        metric.update(str(clip), points)
    return metric.compute().value, statistics.fmean(p[2] for points in clips for frame in points for p in frame[91:133])


def _hkv(kind: type, per_body_length: bool) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        metric, values = kind(_network("keypoints")), []
        for clip, points in enumerate(_keypoints(3)):
            metric.update(str(clip), points)
            width = statistics.median(math.dist(frame[5][:2], frame[6][:2]) for frame in points)
            spread = []
            for k in range(91, 133):
                seen = [frame[k] for frame in points if frame[k][2] > 0.5]
                if len(seen) >= 2:
                    spread.append(statistics.pvariance(p[0] for p in seen) + statistics.pvariance(p[1] for p in seen))
            values.append(statistics.fmean(spread) / (width**2 if per_body_length else 1.0))
        return metric.compute().value, statistics.fmean(values)

    return pair


def _akd() -> tuple[float, float]:
    metric, values = AverageKeypointDistance(_network("keypoints")), []
    for clip, (real, made) in enumerate(zip(_keypoints(4), _keypoints(5), strict=True)):
        metric.update(str(clip), real, made)
        pairs = [(a, b) for f, g in zip(real, made, strict=True) for a, b in zip(f, g, strict=True)]
        values.append(statistics.fmean(math.dist(a[:2], b[:2]) for a, b in pairs if min(a[2], b[2]) > 0.5))
    return metric.compute().value, statistics.fmean(values)


def _missing() -> tuple[float, float]:
    metric, values = MissingKeypoints(_network("keypoints")), []
    for clip, (real, made) in enumerate(zip(_keypoints(6), _keypoints(7), strict=True)):
        metric.update(str(clip), real, made)
        pairs = [(a, b) for f, g in zip(real, made, strict=True) for a, b in zip(f, g, strict=True) if a[2] > 0.5]
        values.append(sum(b[2] <= 0.5 for _, b in pairs) / len(pairs))
    return metric.compute().value, statistics.fmean(values)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def _to_reference(kind: type, between: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        rng, metric, values = np.random.default_rng(8), kind(_network(kind.architecture)), []  # type: ignore[attr-defined]
        for clip in range(CLIPS):
            reference, made = rng.normal(size=16), rng.normal(0.5, 1.0, (6, 16))
            made[2] = np.nan
            metric.update(str(clip), reference, made)
            values.append(statistics.fmean(between(reference, row) for i, row in enumerate(made) if i != 2))
        return metric.compute().value, statistics.fmean(values)

    return pair


def _first_to_last(kind: type, between: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        rng, metric, values = np.random.default_rng(9), kind(_network(kind.architecture)), []  # type: ignore[attr-defined]
        for clip in range(CLIPS):
            made = rng.normal(0.5, 1.0, (8, 16))
            metric.update(str(clip), made)
            values.append(between((made[0] + made[1]) / 2, (made[6] + made[7]) / 2))
        return metric.compute().value, statistics.fmean(values)

    return pair


def _puppets(name: str) -> Callable[[], tuple[float, float]]:
    def pair() -> tuple[float, float]:
        (kind,) = (kind for kind in PUPPET_METRICS if kind.name == name)
        rng, metric = np.random.default_rng(10), StreamedPuppetMetric(kind)
        o, a = rng.random((2, CLIPS, 5))
        p, q = rng.uniform(0, 64, (2, CLIPS, 5, 4, 2))
        lost = rng.random((CLIPS, 5, 4)) < 0.3
        p[lost] = np.nan
        c, r = rng.random((CLIPS, 5, 4, 3)), rng.random((CLIPS, 4, 3))
        for i in range(CLIPS):
            measured = Measurement(o[i], p[i], np.where(lost[i], 0.0, 1.0), lost[i], c[i])
            metric.update(str(i), measured, PuppetTruth(a[i], q[i], r[i]))
        distances = [math.dist(x, y) for x, y in zip(p.reshape(-1, 2), q.reshape(-1, 2), strict=True) if x[0] == x[0]]
        theirs = {
            "mouth_correlation": lambda: float(np.corrcoef(o.ravel(), a.ravel())[0, 1]),
            "missing_joints": lambda: sum(lost.ravel().tolist()) / lost.size,
            "missing_hands": lambda: statistics.fmean(
                float(lost[i, t, k]) for i in range(CLIPS) for t in range(5) for k in (1, 3)
            ),
            "joint_error_median": lambda: statistics.median(distances),
            "colour_error": lambda: statistics.fmean(
                abs(c[i, t, k, h] - r[i, k, h])
                for i in range(CLIPS)
                for t in range(5)
                for k in range(4)
                for h in range(3)
            ),
        }[metric.name]()
        return metric.compute().value, theirs

    return pair


_CASES: dict[str, tuple[str, Callable[[], tuple[float, float]]]] = {
    "fid": ("scipy.linalg.sqrtm", _frechet(FrechetInceptionDistance)),
    "fvd": ("scipy.linalg.sqrtm", _frechet(FrechetVideoDistance)),
    "imagenet_frechet": ("scipy.linalg.sqrtm", _frechet(ImageNetFrechetDistance)),
    "kid": ("all pairs in loops", _kernel(KernelInceptionDistance)),
    "kvd": ("all pairs in loops", _kernel(KernelVideoDistance)),
    "hkc": ("loops", _hkc),
    "hkv": ("statistics.pvariance", _hkv(HandKeypointVariance, False)),
    "hkv_per_body_length": ("statistics.pvariance", _hkv(HandKeypointVariancePerBodyLength, True)),
    "akd": ("math.dist", _akd),
    "missing_keypoints": ("loops", _missing),
    "csim": ("loops", _to_reference(CosineSimilarity, _cosine)),
    "identity_drift": ("loops", _first_to_last(IdentityDrift, lambda a, b: 1 - _cosine(a, b))),
    "dlib_face_distance": ("math.dist", _to_reference(DlibFaceDistance, math.dist)),
    "dlib_face_drift": ("math.dist", _first_to_last(DlibFaceDrift, math.dist)),
    **PIXELS,
    **PEOPLE,
    "mouth_correlation": ("numpy.corrcoef", _puppets("mouth_correlation")),
    "missing_joints": ("loops", _puppets("missing_joints")),
    "missing_hands": ("loops", _puppets("missing_hands")),
    "joint_error_median": ("statistics.median", _puppets("joint_error_median")),
    "colour_error": ("loops", _puppets("colour_error")),
}


def as_markdown(rows: dict[str, Agreement]) -> str:
    """The kept table; errors below a millionth are rounding, which differs from machine to machine."""
    lines = [
        "# Metrics against independent references",
        "",
        "Written by `python -m tests.evaluation.metric_agreement`, which tests/evaluation/test_streaming_metrics.py asserts. Each metric "
        "on fixed random input against another implementation. Sync-C and Sync-D come from a judge that is tested where it lives.",
        "",
        "| metric | agrees with | relative error |",
        "| --- | --- | ---: |",
    ]
    for name, row in rows.items():
        error = "below 1e-06" if row.error < 1e-6 else f"{row.error:.0e}"
        lines.append(f"| {METRICS[name].title} (`{name}`) | {row.reference} | {error} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    KEPT.write_text(as_markdown(agreements()))
    sys.stdout.write(f"{KEPT}\n")
