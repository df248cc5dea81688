"""Is fine detail there: energy of the upper half of the spatial spectrum, against the truth's.

A mean gradient is not a sharpness measure here: it reads 1.22 on reconstructions that are visibly softer, because mild
ringing along large edges adds gradient everywhere. High frequencies live only in true edges and in noise.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.metrics.facts import MetricFacts

CUTOFF = 0.25  # cycles per pixel, half of Nyquist


def high_frequency_energy(frames: np.ndarray) -> np.ndarray:
    """Per clip, mean over frames of sum |F(f)|^2 over radial frequencies above 0.25 cycles per pixel.

    Args:
        frames: `(N, T, H, W, 3)` uint8 RGB.

    Returns:
        `(N,)` energy of Hann-windowed luma; the window keeps the picture's border from counting as an edge.
    """
    height, width = frames.shape[2:4]
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    high = (radius > CUTOFF).astype(np.float32)
    energy = np.empty(len(frames))
    for index, clip in enumerate(frames):
        # Frame by frame: a long clip's spectra need not fit in memory.
        energy[index] = np.array([_energy(image, window, high) for image in clip]).mean()
    return energy


def _energy(image: np.ndarray, window: np.ndarray, high: np.ndarray) -> np.float32:
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255.0
    spectrum = np.fft.rfft2((luma - luma.mean()) * window)
    found: np.float32 = (np.abs(spectrum) ** 2 * high).sum()
    return found


@dataclass(frozen=True)
class HighFrequencyRatio(MetricFacts):
    """E(generated) / E(truth), E the energy above 0.25 cycles per pixel summed over clips.

    1 is as sharp as the truth, below is blur, above is ringing or noise.

    Attributes:
        own: `(N,)` E of the generated clips.
        truth: `(N,)` of the true ones.
    """

    own: np.ndarray
    truth: np.ndarray
    name = "high_frequency_ratio"
    unit = "ratio"
    higher_is_better = None
    best = 1.0
    title = "detail / truth"
    aspect = "detail"
    digits = 2
    place = 8
    needs = ("truth_frames",)
    damage = ("blur", "more blur")

    @classmethod
    def of_videos(cls, frames: np.ndarray, truth: np.ndarray) -> Self:
        """Of `(N, T, H, W, 3)` uint8 each."""
        return cls(high_frequency_energy(frames), high_frequency_energy(truth))

    def __len__(self) -> int:
        return len(self.own)

    def __call__(self, clips: np.ndarray) -> float:
        """NaN when the truth has no detail."""
        total = self.truth[clips].sum()
        return float(self.own[clips].sum() / total) if total > 0 else float("nan")
