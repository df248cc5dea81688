"""Metrics of pixels alone against the definition in plain loops; `metric_agreement` puts all metrics together."""

import math
import statistics
from collections.abc import Callable

import cv2
import numpy as np

from evaluation.metrics import ColourDrift, Flicker, MotionMagnitude
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import streaming_metric

CLIPS = 3


def _frames(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 8, 3), np.uint8)


def _flicker() -> tuple[float, float]:
    metric, values = Flicker(), []
    for clip in range(CLIPS):
        metric.update(str(clip), _frames(clip))
        y = _frames(clip).astype(float) @ [0.299, 0.587, 0.114] / 255
        values.append(
            statistics.fmean(
                abs(y[t][i][j] - (y[t - 1][i][j] + y[t + 1][i][j]) / 2)
                for t in range(1, 7)
                for i in range(8)
                for j in range(8)
            )
        )
    return metric.compute().value, statistics.fmean(values)


def _colour_drift() -> tuple[float, float]:
    metric, values = ColourDrift(), []
    for clip in range(CLIPS):
        metric.update(str(clip), _frames(clip))
        f = _frames(clip) / 255
        parts = [
            (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2), c) for i in range(4) for j in range(4) for c in range(3)
        ]
        values.append(statistics.fmean(abs(f[(slice(6, 8), *p)].mean() - f[(slice(0, 2), *p)].mean()) for p in parts))
    return metric.compute().value, statistics.fmean(values)


def _motion() -> tuple[float, float]:
    """Smoothed noise panned by two pixels a frame, 192 high, 10 frames a second."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(192, 206)), (0, 0), 3)
    texture = np.clip(128 + 60 * noise / noise.std(), 0, 255)
    frames = np.stack([np.repeat(texture[:, 2 * t : 2 * t + 192, None], 3, axis=2) for t in range(8)]).astype(np.uint8)
    metric = MotionMagnitude()
    metric.update("pan", frames, 10.0)
    return metric.compute().value, 2 / 192 * 10


def _detail() -> tuple[float, float]:
    """Parseval: what a box filter of the spectrum keeps, by an own transform of each frame."""
    metric, own, true = streaming_metric("high_frequency_ratio"), 0.0, 0.0
    for clip in range(CLIPS):
        made, real = _frames(clip), _frames(clip + 20)
        metric.observe(Observed(str(clip), 8.0, made, real=real))
        own, true = own + _high_energy(made), true + _high_energy(real)
    return metric.compute().value, own / true


def _high_energy(frames: np.ndarray) -> float:
    size, energy = frames.shape[1], 0.0
    k = np.arange(size)
    dft = np.exp(-2j * np.pi * np.outer(k, k) / size)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * k / (size - 1))
    frequency = np.minimum(k, size - k) / size
    for frame in frames:
        y = frame.astype(float) @ [0.299, 0.587, 0.114] / 255
        spectrum = dft @ ((y - y.mean()) * np.outer(hann, hann)) @ dft
        high = [(i, j) for i in range(size) for j in range(size // 2 + 1) if math.hypot(frequency[i], j / size) > 0.25]
        energy += sum(abs(spectrum[i, j]) ** 2 for i, j in high) / len(frames)
    return energy


PIXELS: dict[str, tuple[str, Callable[[], tuple[float, float]]]] = {
    "flicker": ("loops", _flicker),
    "colour_drift": ("loops", _colour_drift),
    "motion_magnitude": ("a texture panned by a known amount", _motion),
    "high_frequency_ratio": ("a discrete Fourier transform by its definition", _detail),
}
