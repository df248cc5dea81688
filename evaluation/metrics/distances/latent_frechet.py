"""Fréchet distances on the project's own autoencoder latents: comparable with nothing outside this project."""

import numpy as np

from evaluation.metrics.distances.frechet import frechet_distance_of_samples
from evaluation.metrics.distances.moments import Moments
from evaluation.metrics.facts import MetricFacts


class LatentFrechetDistance(MetricFacts):
    """The squared distance between the Gaussians of two sets of latents, a latent vector of C channels at each place and time.

    It is a number of the whole set: it has no interval. On the reconstruction it is the autoencoder's own floor.
    """

    name = "latent_frechet"
    unit = "d^2"
    higher_is_better = False
    title = "latent Fréchet"
    needs = ("latents",)

    @classmethod
    def between(cls, made: np.ndarray, truth: np.ndarray) -> float:
        """Of `(N, C, F, h, w)` latents each."""
        return frechet_distance_of_samples(_vectors(cls.part(made)), _vectors(cls.part(truth)))

    @classmethod
    def moments(cls, latents: np.ndarray) -> "Moments":
        """Of one clip's `(C, F, h, w)` latents."""
        return Moments.of(_vectors(cls.part(latents[None])))

    @staticmethod
    def part(latents: np.ndarray) -> np.ndarray:
        """Of `(N, C, F, h, w)`, the places that count."""
        return latents


class LatentFrechetDistanceOfArms(LatentFrechetDistance):
    """The same of the columns left and right of head and trunk, below the forehead: on the 64-pixel canvas x < 16 or x >= 48, y >= 24."""

    name = "latent_frechet_arms"
    title = "latent Fréchet of arms"

    @staticmethod
    def part(latents: np.ndarray) -> np.ndarray:
        """Columns at the sides, rows below the forehead."""
        height, width = latents.shape[3:]
        rows, side = slice(3 * height // 8, None), width // 4
        return np.concatenate([latents[..., rows, :side], latents[..., rows, -side:]], axis=-1)


def _vectors(latents: np.ndarray) -> np.ndarray:
    """`(N, C, F, h, w)` to `(N * F * h * w, C)`."""
    return np.moveaxis(latents, 1, -1).reshape(-1, latents.shape[1])
