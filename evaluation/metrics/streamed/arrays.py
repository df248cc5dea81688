"""Pixels, seeds and latents, fed clip by clip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evaluation.metrics.distances.frechet import frechet_distance
from evaluation.metrics.distances.latent_frechet import LatentFrechetDistance, LatentFrechetDistanceOfArms
from evaluation.metrics.distances.moments import Moments
from evaluation.metrics.diversity import JointDiversity, PixelDiversity
from evaluation.metrics.errors import MetricError
from evaluation.metrics.fidelity import PeakSignalToNoise
from evaluation.metrics.mouth import MouthCorrelationWithGivenAudio
from evaluation.metrics.sharpness import HighFrequencyRatio, high_frequency_energy
from evaluation.metrics.streaming import Streamed

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed


class StreamedHighFrequencyRatio(Streamed):
    """Keeps the two energies of each clip."""

    of = HighFrequencyRatio

    def observe(self, seen: "Observed") -> None:
        """The generated frames and the real ones."""
        own, truth = (
            high_frequency_energy(frames[None])[0]
            for frames in _pair(self.of.name, seen.name, seen.generated, seen.real)
        )
        self._add(seen.name, (own, truth))

    def over(self, records: Sequence[tuple[float, float]]) -> float:
        """NaN when the truth has no detail."""
        own, truth = np.sum(records, axis=0)
        return float(own / truth) if truth > 0 else float("nan")


class StreamedPeakSignalToNoise(Streamed):
    """Keeps each clip's mean squared error and how many numbers it is of."""

    of = PeakSignalToNoise

    def observe(self, seen: "Observed") -> None:
        """The generated frames and the real ones."""
        generated, real = _pair(self.of.name, seen.name, seen.generated, seen.real)
        squares = [float(np.square(a.astype(np.float32) - b).mean()) for a, b in zip(generated, real, strict=True)]
        self._add(seen.name, (float(np.mean(squares)), generated.size))

    def over(self, records: Sequence[tuple[float, int]]) -> float:
        """Infinite for equal pixels."""
        errors, sizes = np.array(records, np.float64).T
        error = np.average(errors, weights=sizes)
        return float(10 * np.log10(255.0**2 / error)) if error > 0 else float("inf")


class StreamedPixelDiversity(Streamed):
    """Keeps each clip's mean difference."""

    of = PixelDiversity

    def observe(self, seen: "Observed") -> None:
        """The videos of both seeds."""
        first, second = _pair(self.of.name, seen.name, seen.generated, seen.second_seed)
        differences = [float(np.abs(a.astype(np.float32) - b).mean()) for a, b in zip(first, second, strict=True)]
        self._add(seen.name, float(np.mean(differences)) / 255.0)

    def over(self, records: Sequence[float]) -> float:
        """Mean over clips."""
        return float(np.mean(records))


class StreamedJointDiversity(Streamed):
    """Keeps the sum of each clip's distances and their number."""

    of = JointDiversity

    def observe(self, seen: "Observed") -> None:
        """The joints as read from the videos of both seeds."""
        distances = np.linalg.norm(seen.measured.joints - seen.measured_second_seed.joints, axis=-1)
        distances = distances[np.isfinite(distances)]
        self._add(seen.name, (float(distances.sum()), distances.size))

    def over(self, records: Sequence[tuple[float, int]]) -> float:
        """NaN when no joint is present in both."""
        total, count = np.sum(records, axis=0)
        return float(total / count) if count else float("nan")


class StreamedMouthCorrelationWithGivenAudio(Streamed):
    """Keeps each clip's two openings."""

    of = MouthCorrelationWithGivenAudio

    def observe(self, seen: "Observed") -> None:
        """The opening as read from the video, and as the given sound asks for."""
        self._add(seen.name, (seen.measured.opening, seen.given_opening))

    def over(self, records: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        """NaN when either side is constant."""
        measured, asked = (np.concatenate(side)[None] for side in zip(*records, strict=True))
        return MouthCorrelationWithGivenAudio(measured, asked)(np.array([0]))


class StreamedLatentFrechetDistance(Streamed):
    """Keeps mean and covariance of each clip's latent vectors, of both sides."""

    of: ClassVar[type[LatentFrechetDistance]] = LatentFrechetDistance
    centred = True

    def observe(self, seen: "Observed") -> None:
        """The latents of the generated video and of the real clip."""
        made, real = seen.latents
        self._add(seen.name, (self.of.moments(made), self.of.moments(real)))

    def over(self, records: Sequence[tuple[Moments, Moments]]) -> float:
        """The squared distance.

        Raises:
            MetricError: not more vectors than channels on either side.
        """
        made, real = (Moments.joined(side) for side in zip(*records, strict=True))
        fewest = min(made.count, real.count)
        if fewest <= len(made.mean):
            raise MetricError(
                f"{self.name}: {fewest} latent vectors of {len(made.mean)} channels are too few; score more clips"
            )
        return frechet_distance(made.mean, made.covariance, real.mean, real.covariance)


class StreamedLatentFrechetDistanceOfArms(StreamedLatentFrechetDistance):
    """The same of the places around the arms."""

    of = LatentFrechetDistanceOfArms


def _pair(metric: str, clip: str, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if first.shape != second.shape:
        raise MetricError(f"{metric}: clip {clip} is {first.shape} and what it is compared with {second.shape}")
    return first, second
