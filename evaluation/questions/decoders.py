"""What a slim decoder loses and saves: the benchmark's clips through the same latents and both decoders, beside the truth."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.generate import batches_alike
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.fidelity import PeakSignalToNoise
from evaluation.metrics.joints import MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import streaming_metric
from evaluation.metrics.sharpness import HighFrequencyRatio
from omnihuman.autoencoder import decode_video, encode_video, to_frames, to_pixels
from puppets import measure
from puppets.measure import Measurement

OWN, SLIM = "own decoder", "slim decoder"


@dataclass(frozen=True)
class DecoderRow:
    """One decoder over all clips.

    Attributes:
        name: `OWN` or `SLIM`.
        parameters: of the decoder alone.
        seconds: of decoding, per clip.
        psnr_truth: dB against the clips.
        psnr_own: dB against what the own decoder draws; None for that one itself.
        detail: high-frequency energy over the truth's.
        mouth_correlation: of puppets, r with the drawn opening.
        missing_joints: of puppets, share of drawn joints that are not found.
    """

    name: str
    parameters: int
    seconds: float
    psnr_truth: float
    psnr_own: float | None
    detail: float
    mouth_correlation: float | None = None
    missing_joints: float | None = None


def compare_decoders(own: Any, slim: Any, benchmark: Benchmark, batch_size: int = 16) -> list[DecoderRow]:
    """Encode the benchmark's clips once and decode them with both; a batch of clips is held at a time.

    Args:
        own, slim: autoencoders with the same encoder.
        benchmark: puppets, of whom mouth and joints are read too, or any clips.
        batch_size: clips at a time; the decoders take turns batch by batch, so that a noisy machine hits both.
    """
    own_side, slim_side = _Side(OWN, own, benchmark), _Side(SLIM, slim, benchmark)
    for batch in batches_alike(benchmark, range(len(benchmark)), batch_size):
        real = torch.stack([benchmark.sample(clip).frames for clip in batch])
        latents = encode_video(own, to_pixels(real))
        drawn = own_side.decode(batch, latents, real.numpy())
        slim_side.decode(batch, latents, real.numpy(), drawn)
    return [own_side.row(), slim_side.row()]


class _Side:
    """One decoder, and what is measured of what it draws; nothing of a clip is kept but numbers."""

    def __init__(self, name: str, autoencoder: Any, benchmark: Benchmark):
        self.name, self.autoencoder, self.benchmark = name, autoencoder, benchmark
        self.seconds = 0.0
        self.to_truth, self.to_own, self.detail = (
            streaming_metric(kind.name) for kind in (PeakSignalToNoise, PeakSignalToNoise, HighFrequencyRatio)
        )
        self.measured: list[Measurement] = []

    def decode(
        self, batch: Sequence[int], latents: Tensor, real: np.ndarray, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw and measure `(B, T, H, W, 3)` uint8; `own` is what the own decoder drew, None for that one itself."""
        began = time.perf_counter()
        pixels = decode_video(self.autoencoder, latents)
        if pixels.is_cuda:
            torch.cuda.synchronize(pixels.device)
        self.seconds += time.perf_counter() - began
        drawn: np.ndarray = to_frames(pixels).cpu().numpy()
        for place, clip in enumerate(batch):
            name, fps = self.benchmark.names[clip], self.benchmark.fps
            for metric in (self.to_truth, self.detail):
                metric.observe(Observed(name, fps, drawn[place], real=real[place]))
            if own is not None:
                self.to_own.observe(Observed(name, fps, drawn[place], real=own[place]))
        if isinstance(self.benchmark, PuppetBenchmark):
            self.measured += [measure(clip) for clip in drawn]
        return drawn

    def row(self) -> DecoderRow:
        """What it comes to over all clips."""
        clips, benchmark = len(self.benchmark), self.benchmark
        row = DecoderRow(
            self.name,
            sum(p.numel() for p in self.autoencoder.decoder.parameters()),
            self.seconds / clips,
            self.to_truth.compute().value,
            self.to_own.compute().value if self.name == SLIM else None,
            self.detail.compute().value,
        )
        if not isinstance(benchmark, PuppetBenchmark):
            return row
        opening, missing = (np.stack([getattr(one, name) for one in self.measured]) for name in ("opening", "missing"))
        return replace(
            row,
            mouth_correlation=MouthCorrelation(opening, benchmark.opening.numpy())(np.arange(clips)),
            missing_joints=MissingJoints(missing, benchmark.joints.numpy())(np.arange(clips)),
        )


def as_markdown(rows: Sequence[DecoderRow]) -> str:
    """A line per decoder; time as a ratio too, and of puppets how their mouths and joints are read."""
    read = [(MouthCorrelation.title, "mouth_correlation"), (MissingJoints.title, "missing_joints")]
    read = [(title, name) for title, name in read if getattr(rows[0], name) is not None]
    heads = ["decoder", "parameters", "ms / clip", "times as fast", "PSNR to truth, dB", "PSNR to own, dB"]
    heads += [*(title for title, _ in read), HighFrequencyRatio.title]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for row in rows:
        to_own = "" if row.psnr_own is None else f"{row.psnr_own:.1f}"
        speed = f"{1000 * row.seconds:.1f} | {rows[0].seconds / row.seconds:.2f}"
        numbers = [f"{getattr(row, name):.3f}" for _, name in read] + [f"{row.detail:.3f}"]
        lines.append(
            f"| {row.name} | {row.parameters:,} | {speed} | {row.psnr_truth:.1f} | {to_own} | {' | '.join(numbers)} |"
        )
    return "\n".join(lines)
