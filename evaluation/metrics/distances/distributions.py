"""Distances between the features of real and of generated clips: Fréchet (FID, FVD) and kernel (KID, KVD).

The arithmetic is the same on any features; the class names the network, and refuses another one's features.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.distances.frechet import frechet_distance_of_features
from evaluation.metrics.distances.kernel import ClipKernels
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.observation.instruments import Features
from evaluation.metrics.streaming import Network, StreamingMetric, checked_finite

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

INCEPTION = "inception-v3-fid"
I3D = "i3d-kinetics400"
EFFICIENTNET = "efficientnet-lite0-imagenet"


class _SetDistance(StreamingMetric):
    """Of two sets of features. Clips are resampled in pairs, real with generated."""

    unit = "distance"
    higher_is_better = False
    damage = ("blur", "more blur")
    centred = True

    def __init__(self, network: Network | None):
        super().__init__(network)

    def observe(self, seen: "Observed") -> None:
        """The features of the real clip and of the generated one."""
        features = seen.features(self.needs[0])
        self.update(seen.name, features.real, features.generated)

    def update(self, clip: str, real: np.ndarray, generated: np.ndarray) -> None:
        """Add one clip's features, `(n, D)` and `(m, D)`.

        Raises:
            MetricError: other shapes, values that are not finite, or a clip that is there already.
        """
        sides = []
        for side, features in (("real", real), ("generated", generated)):
            features = np.asarray(features, np.float32)
            width = self.dimensions() or features.shape[-1]
            if features.ndim != 2 or not len(features) or features.shape[1] != width:
                raise MetricError(f"{self.name}: {side} features of clip {clip} are {features.shape}, not (n, {width})")
            sides.append(checked_finite(features, f"{self.name} ({side})", clip))
        self._add(clip, Features(*sides))

    def dimensions(self) -> int | None:
        """D, None before the first clip."""
        for record in self._records.values():
            return record.real.shape[1]
        return None

    def samples(self) -> tuple[int, int]:
        """Rows on the real and on the generated side."""
        records = self._records.values()
        return sum(len(r.real) for r in records), sum(len(r.generated) for r in records)


class _Frechet(_SetDistance):
    most_resamples = 50  # each is a decomposition: 4.6 CPU seconds at 2500 x 2048

    def over(self, records: Sequence[Features]) -> float:
        """NaN with fewer than two rows on a side."""
        # A clip that a resample holds twice is the same object twice; both count in the order of first sight.
        clips = list({id(record): record for record in records}.values())
        repeats = np.array(list(Counter(map(id, records)).values()))
        real, generated = (np.concatenate([getattr(clip, side) for clip in clips]) for side in ("real", "generated"))
        counts = (
            np.repeat(repeats, [len(clip.real) for clip in clips]),
            np.repeat(repeats, [len(clip.generated) for clip in clips]),
        )
        if min(counts[0].sum(), counts[1].sum()) < 2:
            return float("nan")
        return frechet_distance_of_features(real, generated, counts)

    def warning(self) -> str:
        """A covariance of fewer samples than dimensions is singular and makes the distance too large."""
        fewest, dimensions = min(self.samples()), self.dimensions() or 0
        if fewest > dimensions:
            return ""
        return (
            f"{fewest} samples for {dimensions} features: the covariance is singular and the distance biased by the number of "
            "samples; compare only with numbers of the same number"
        )


class FrechetInceptionDistance(_Frechet):
    """FID (Heusel et al. 2017) on 2048 features of the 2015 Inception-v3, a row per frame; resized as clean-fid does."""

    name = "fid"
    title = "FID"
    aspect = "detail"
    reading = Reading(AUDIO, 27)
    needs = ("inception", "truth_frames")
    architecture = INCEPTION


class ImageNetFrechetDistance(_Frechet):
    """The distance of FID on another network: 1280 features of a packaged EfficientNet-Lite0 of ImageNet, a row per frame. Not FID, and
    comparable with no published number."""

    name = "imagenet_frechet"
    title = "ImageNet Fréchet"
    aspect = "detail"
    reading = Reading(AUDIO, 29)
    needs = ("imagenet", "truth_frames")
    architecture = EFFICIENTNET


class FrechetVideoDistance(_Frechet):
    """FVD (Unterthiner et al. 2018) on 400 logits of an I3D of Kinetics-400, a row per window of 16 frames."""

    name = "fvd"
    title = "FVD"
    aspect = "detail"
    reading = Reading(AUDIO, 28)
    needs = ("i3d", "truth_frames")
    architecture = I3D


class _Kernel(_SetDistance):
    """Unbiased squared MMD with k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 2018, section 4), over all pairs.

    Unlike a Fréchet distance it is not biased by the number of samples; it can be a little below zero.
    """

    unit = "MMD^2"
    centred = False
    _kernels: ClipKernels | None = None

    def update(self, clip: str, real: np.ndarray, generated: np.ndarray) -> None:
        """As for a Fréchet distance."""
        super().update(clip, real, generated)
        self._kernels = None

    def take(self, records: Mapping[str, Any]) -> None:
        """As for any metric."""
        super().take(records)
        self._kernels = None

    def __call__(self, clips: np.ndarray) -> float:
        """Sums over pairs of clips are made once; a resample only weighs them."""
        if self._kernels is None:
            records = [self._records[name] for name in self.clips]
            self._kernels = ClipKernels.of([r.real for r in records], [r.generated for r in records])
        return self._kernels(np.bincount(clips, minlength=len(self)))

    def over(self, records: Sequence[Features]) -> float:
        """NaN with fewer than two rows on a side."""
        return ClipKernels.of([r.real for r in records], [r.generated for r in records])(np.ones(len(records)))


class KernelInceptionDistance(_Kernel):
    """KID on the features of FID."""

    name = "kid"
    title = "KID"
    aspect = "detail"
    needs = ("inception", "truth_frames")
    architecture = INCEPTION


class KernelVideoDistance(_Kernel):
    """The kernel distance on the features of FVD."""

    name = "kvd"
    title = "KVD"
    aspect = "detail"
    needs = ("i3d", "truth_frames")
    architecture = I3D
