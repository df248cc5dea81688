"""What tests of other methods share: folders of videos, and small stand-ins for networks."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics import Network
from media import encode_clip
from puppets import PuppetKeypoints


class Detector:
    """The puppets' own, named as a metric's network."""

    network = Network("puppet-colours", "1", "whole frames")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return PuppetKeypoints()(frames)


def write(
    folder: Path,
    frames_of: Callable[[np.ndarray], np.ndarray],
    benchmark: PuppetBenchmark,
    fps: float = 16.0,
    suffix: str = ".mp4",
) -> Path:
    """A folder with what `frames_of` makes of every clip, with its sound."""
    folder.mkdir()
    for name, frames, audio in zip(benchmark.names, benchmark.frames.numpy(), benchmark.audio.numpy(), strict=True):
        (folder / f"{name}{suffix}").write_bytes(encode_clip(frames_of(frames), fps, audio))
    return folder


def blurred(frames: np.ndarray) -> np.ndarray:
    """Softer than any model's."""
    return np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in frames])


class RandomConvolution(torch.nn.Module):
    """A network of I3D's interface that sees texture and motion: one layer of random filters."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = torch.nn.Conv3d(3, 400, (3, 7, 7), stride=(2, 8, 8))

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return torch.relu(self.filters(x)).mean(dim=(2, 3, 4))
