"""Puppets read back from videos, block by block of clips, and the benchmark's truth in the same form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.benchmark.benchmark_plan import AUDIO, GROUND_TRUTH, PIXELS, RECONSTRUCTION, SECOND_SEED
from evaluation.benchmark.generate import ALONE, Progress, Share
from evaluation.benchmark.generated import Generated, open_sets
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.kept_records import KeptRecords
from evaluation.metrics import PeakSignalToNoise, PixelDiversity
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from evaluation.metrics.sharpness import high_frequency_energy
from networks.on_device import one_thread
from omnihuman.autoencoder import encode_video, to_pixels
from puppets import measure, measure_colours

BLOCK = 16  # clips that are measured together, and whose latents are encoded in one batch: a batch of others may round otherwise

OF_SOME_SETS = ("squared_error", "difference", "latents")  # what is not measured of every set


def benchmark_truth(benchmark: PuppetBenchmark) -> PuppetTruth:
    """What is true of every clip of a benchmark."""
    return PuppetTruth(
        benchmark.opening.numpy(), benchmark.joints.numpy(), measure_colours(benchmark.reference.numpy())
    )


@dataclass(frozen=True)
class MeasuredVideos:
    """What is measured of N videos of one set, without their pixels.

    Attributes:
        read: the puppets as they are read back.
        detail: `(N,)` energy of high frequencies.
        squared_error: `(N,)` against the true pixels; of a reconstruction.
        difference: `(N,)` mean difference of pixels to the video of the first seed; of a second seed.
        latents: `(N, C, F, h, w)` float32, where latents are compared.
    """

    read: Measured
    detail: np.ndarray
    squared_error: np.ndarray | None = None
    difference: np.ndarray | None = None
    latents: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.detail)

    @classmethod
    def joined(cls, blocks: "Sequence[MeasuredVideos]") -> "MeasuredVideos":
        """Blocks of one set in their order."""
        read = {
            part.name: np.concatenate([getattr(block.read, part.name) for block in blocks]) for part in fields(Measured)
        }
        return cls(
            Measured(**read),
            np.concatenate([block.detail for block in blocks]),
            *(_joined([getattr(block, name) for block in blocks]) for name in OF_SOME_SETS),
        )


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


class PuppetSets:
    """Measures a benchmark's videos and its true clips in blocks of `BLOCK` clips, each once, by whichever process has its turn."""

    def __init__(
        self,
        generated_root: Path,
        benchmark: PuppetBenchmark,
        sets: Sequence[tuple[str, str]],
        autoencoder: Any | None = None,
        kept: KeptRecords | None = None,
    ):
        """Look for everything before anything is measured: a missing folder should not cost minutes.

        Args:
            generated_root: `<model>/<mode>` inside.
            benchmark: the truth.
            sets: models and modes; a second seed stands behind its model's first.
            autoencoder: with it, latents are measured too.
            kept: blocks that are measured already.

        Raises:
            evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
        """
        self._benchmark, self._sets, self._autoencoder = benchmark, sets, autoencoder
        self.made = open_sets(generated_root, benchmark, sets)
        self._kept = kept or KeptRecords()

    def measure(self, share: Share = ALONE, progress: Progress | None = None) -> None:
        """Measure a share of the blocks of every set, for whoever asks for the sets then."""
        for done, (model, mode) in enumerate(self._sets, start=1):
            for number, names in enumerate(self._blocks(model, mode)):
                if number % share.of == share.index:
                    self._block(model, mode, names)
            if progress is not None:
                progress(done, len(self._sets), f"{model} {mode}")

    def videos(self, model: str, mode: str) -> MeasuredVideos:
        """One set; what no process has measured yet is measured here."""
        return MeasuredVideos.joined([self._block(model, mode, names) for names in self._blocks(model, mode)])

    def _blocks(self, model: str, mode: str) -> Iterator[Sequence[str]]:
        names = self._benchmark.names if model == GROUND_TRUTH else self.made[model, mode].names
        yield from (names[start : start + BLOCK] for start in range(0, len(names), BLOCK))

    def _block(self, model: str, mode: str, names: Sequence[str]) -> MeasuredVideos:
        measured = partial(self._measured, model, mode, names)
        return MeasuredVideos(**self._kept.get(f"{model}/{mode}/{names[0]}", lambda: vars(measured())))

    def _measured(self, model: str, mode: str, names: Sequence[str]) -> MeasuredVideos:
        true = self._benchmark.frames.numpy()[[self._benchmark.names.index(name) for name in names]]
        frames = true if model == GROUND_TRUTH else _frames(self.made[model, mode], names)
        error = PeakSignalToNoise.of_videos(frames, true).squared_error if model == RECONSTRUCTION else None
        difference = (
            PixelDiversity.of_videos(_frames(self.made[model, AUDIO], names), frames).per_clip
            if mode == SECOND_SEED
            else None
        )
        latents = None
        if self._autoencoder is not None and mode in (AUDIO, PIXELS):
            with one_thread():
                encoded = encode_video(self._autoencoder, to_pixels(torch.from_numpy(frames)))
            latents = encoded.float().cpu().numpy()
        read = Measured.stacked([measure(clip) for clip in frames])
        return MeasuredVideos(read, high_frequency_energy(frames), error, difference, latents)


def _frames(made: Generated, names: Sequence[str]) -> np.ndarray:
    return np.stack([made.frames(name) for name in names])
