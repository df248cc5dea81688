"""What looks at videos, and the metrics that can be had with it, fed together clip by clip."""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evaluation.metrics import (
    AverageKeypointDistance,
    ColourDrift,
    CosineSimilarity,
    DlibFaceDistance,
    DlibFaceDrift,
    Flicker,
    FrechetInceptionDistance,
    FrechetVideoDistance,
    HandKeypointConfidence,
    HandKeypointVariance,
    HandKeypointVariancePerBodyLength,
    IdentityDrift,
    ImageAesthetics,
    ImageQuality,
    KernelInceptionDistance,
    KernelVideoDistance,
    MissingKeypoints,
    MotionMagnitude,
    Network,
    StreamingMetric,
    SyncConfidence,
    SyncDistance,
    SyncJudge,
    SyncOffset,
)
from evaluation.metrics.puppet_truth import PuppetTruth
from evaluation.metrics.registry import PUPPET_METRICS
from evaluation.metrics.streamed_puppets import StreamedPuppetMetric
from evaluation.networks.arcface import ArcFaceEmbedding
from evaluation.networks.dlib_face import DlibFaceEmbedding
from evaluation.networks.feature_cache import FeatureCache
from evaluation.networks.i3d import I3DFeatures
from evaluation.networks.inception import InceptionFeatures
from networks.qalign import QAlign
from puppets import measure

# Those that known damage is asked about.
JUDGED_PUPPET_METRICS = tuple(kind for kind in PUPPET_METRICS if kind.damage)


class Keypoints(Protocol):
    """A detector of the 133 keypoints; `network` says which, in which version."""

    @property
    def network(self) -> Network:
        """Name, and version or weights' hash."""
        ...

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 to `(T, 133, 3)` x, y, confidence."""
        ...


@dataclass(frozen=True)
class Instruments:
    """Networks by path, dlib's out of a package; None is one that is not there, and then neither are its metrics. `puppets` is the truth by sample name."""

    inception: InceptionFeatures | None = None
    i3d: I3DFeatures | None = None
    arcface: ArcFaceEmbedding | None = None
    dlib_face: DlibFaceEmbedding | None = None
    qalign: QAlign | None = None
    keypoints: Keypoints | None = None
    sync: SyncJudge | None = None
    puppets: Mapping[str, PuppetTruth] | None = None
    cache: FeatureCache = field(default_factory=FeatureCache)

    def metrics(self) -> list[StreamingMetric]:
        """Empty metrics of everything that can be scored."""
        metrics: list[StreamingMetric] = [Flicker(), ColourDrift(), MotionMagnitude()]
        if self.inception is not None:
            network = self.inception.network
            metrics += [FrechetInceptionDistance(network), KernelInceptionDistance(network)]
        if self.i3d is not None:
            metrics += [FrechetVideoDistance(self.i3d.network), KernelVideoDistance(self.i3d.network)]
        if self.qalign is not None:
            metrics += [ImageQuality(self.qalign.network), ImageAesthetics(self.qalign.network)]
        if self.keypoints is not None:
            network = self.keypoints.network
            metrics += [
                HandKeypointConfidence(network),
                HandKeypointVariance(network),
                HandKeypointVariancePerBodyLength(network),
            ]
            metrics += [AverageKeypointDistance(network), MissingKeypoints(network)]
        if self.arcface is not None and self.keypoints is not None:
            metrics += [CosineSimilarity(self.arcface.network), IdentityDrift(self.arcface.network)]
        if self.dlib_face is not None and self.keypoints is not None:
            metrics += [DlibFaceDistance(self.dlib_face.network), DlibFaceDrift(self.dlib_face.network)]
        if self.sync is not None:
            metrics += [
                SyncConfidence(self.sync.network),
                SyncDistance(self.sync.network),
                SyncOffset(self.sync.network),
            ]
        if self.puppets is not None:
            metrics += [StreamedPuppetMetric(kind) for kind in JUDGED_PUPPET_METRICS]
        return metrics


@dataclass(frozen=True)
class Pair:
    """A real clip and a generated one: `(T, H, W, 3)` uint8 each, `file` the generated one with its sound."""

    name: str
    real: np.ndarray
    generated: np.ndarray
    fps: float
    file: object | None = None


class Panel:
    """The metrics of one method. `only` keeps those of these names; what none of them needs is not computed."""

    def __init__(self, instruments: Instruments, only: Collection[str] | None = None):
        self._with = instruments
        self.metrics = {m.name: m for m in instruments.metrics() if only is None or m.name in only}

    def update(self, pair: Pair) -> None:
        """Score one clip with every metric.

        Raises:
            MetricError: a clip that cannot be scored; the message names it.
        """
        self._pixels(pair)
        self._quality(pair)
        self._features(pair)
        self._keypoints(pair)
        self._puppets(pair)
        if self._with.sync is not None and self._needs("sync_c", "sync_d", "sync_offset"):
            sync = None if pair.file is None else self._with.sync(pair.file)  # type: ignore[arg-type]
            for name in ("sync_c", "sync_d", "sync_offset"):
                self._feed(name, pair.name, sync)

    def _puppets(self, pair: Pair) -> None:
        names = [kind.name for kind in JUDGED_PUPPET_METRICS]
        if self._with.puppets is None or not self._needs(*names):
            return
        measured = measure(pair.generated)
        for name in names:
            self._feed(name, pair.name, measured, self._with.puppets[pair.name])

    def merge(self, other: "Panel") -> None:
        """Take over another shard's clips."""
        for name, metric in self.metrics.items():
            metric.merge(other.metrics[name])

    def _pixels(self, pair: Pair) -> None:
        self._feed("flicker", pair.name, pair.generated)
        self._feed("colour_drift", pair.name, pair.generated)
        self._feed("motion_magnitude", pair.name, pair.generated, pair.fps)

    def _quality(self, pair: Pair) -> None:
        judge = self._with.qalign
        if judge is None or not self._needs("iqa", "ase"):
            return
        levels = self._with.cache.get(judge.network, pair.generated, lambda: judge(pair.generated, pair.fps))
        self._feed("iqa", pair.name, levels[:, 0])
        self._feed("ase", pair.name, levels[:, 1])

    def _features(self, pair: Pair) -> None:
        cache = self._with.cache
        for extractor, names in ((self._with.inception, ("fid", "kid")), (self._with.i3d, ("fvd", "kvd"))):
            if extractor is None or not self._needs(*names):
                continue
            sides = [
                cache.get(extractor.network, clip, functools.partial(extractor, clip))
                for clip in (pair.real, pair.generated)
            ]
            for name in names:
                self._feed(name, pair.name, *sides)

    def _keypoints(self, pair: Pair) -> None:
        detector = self._with.keypoints
        faces = self._faces()
        if detector is None or not (
            faces or self._needs("hkc", "hkv", "hkv_per_body_length", "akd", "missing_keypoints")
        ):
            return
        cache = self._with.cache
        real, generated = (
            cache.get(detector.network, x, lambda x=x: detector(x))  # type: ignore[misc]
            for x in (pair.real, pair.generated)
        )
        for name in ("hkc", "hkv", "hkv_per_body_length"):
            self._feed(name, pair.name, generated)
        for name in ("akd", "missing_keypoints"):
            self._feed(name, pair.name, real, generated)
        for embed, likeness, drift in faces:
            embedded = embed(pair.generated, generated)
            self._feed(likeness, pair.name, embed(pair.real[:1], real[:1])[0], embedded)
            self._feed(drift, pair.name, embedded)

    def _faces(self) -> list[tuple[ArcFaceEmbedding | DlibFaceEmbedding, str, str]]:
        """What embeds faces, and the two metrics that it feeds, as far as one of them is wanted."""
        pairs = (
            (self._with.arcface, "csim", "identity_drift"),
            (self._with.dlib_face, "dlib_face_distance", "dlib_face_drift"),
        )
        return [(embed, *names) for embed, *names in pairs if embed is not None and self._needs(*names)]  # type: ignore[misc]

    def _needs(self, *names: str) -> bool:
        return any(name in self.metrics for name in names)

    def _feed(self, name: str, clip: str, *inputs) -> None:
        metric = self.metrics.get(name)
        if metric is not None:
            metric.update(clip, *inputs)  # type: ignore[attr-defined]
