"""What a slim decoder loses and saves: the benchmark's clips through the same latents and both decoders, beside the truth."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.fidelity import PeakSignalToNoise
from evaluation.metrics.joints import MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.sharpness import HighFrequencyRatio
from omnihuman.autoencoder import decode_video, encode_video, to_frames, to_pixels
from puppets import measure

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
        mouth_correlation: r with the drawn opening.
        missing_joints: share of drawn joints that are not found.
        detail: high-frequency energy over the truth's.
    """

    name: str
    parameters: int
    seconds: float
    psnr_truth: float
    psnr_own: float | None
    mouth_correlation: float
    missing_joints: float
    detail: float


def compare_decoders(own: Any, slim: Any, benchmark: PuppetBenchmark, batch_size: int = 16) -> list[DecoderRow]:
    """Encode the benchmark's clips once and decode them with both.

    Args:
        own, slim: autoencoders with the same encoder.
        benchmark: puppets.
        batch_size: clips at a time; the decoders take turns batch by batch, so that a noisy machine hits both.
    """
    made: dict[str, list[Tensor]] = {OWN: [], SLIM: []}
    seconds = {OWN: 0.0, SLIM: 0.0}
    for batch in benchmark.frames.split(batch_size):
        latents = encode_video(own, to_pixels(batch))
        for name, autoencoder in ((OWN, own), (SLIM, slim)):
            began = time.perf_counter()
            pixels = decode_video(autoencoder, latents)
            if pixels.is_cuda:
                torch.cuda.synchronize(pixels.device)
            seconds[name] += time.perf_counter() - began
            made[name].append(to_frames(pixels).cpu())
    frames = {name: torch.cat(parts) for name, parts in made.items()}
    return [
        _row(name, autoencoder, seconds[name], frames[name], None if name == OWN else frames[OWN], benchmark)
        for name, autoencoder in ((OWN, own), (SLIM, slim))
    ]


def _row(
    name: str, autoencoder: Any, seconds: float, frames: Tensor, own: Tensor | None, benchmark: PuppetBenchmark
) -> DecoderRow:
    every, measured = np.arange(len(frames)), [measure(clip) for clip in frames.numpy()]
    return DecoderRow(
        name, sum(p.numel() for p in autoencoder.decoder.parameters()), seconds / len(frames),
        PeakSignalToNoise(frames.numpy(), benchmark.frames.numpy())(every),
        None if own is None else PeakSignalToNoise(frames.numpy(), own.numpy())(every),
        MouthCorrelation(np.stack([one.opening for one in measured]), benchmark.opening.numpy())(every),
        MissingJoints(np.stack([one.missing for one in measured]), benchmark.joints.numpy())(every),
        HighFrequencyRatio(frames.numpy(), benchmark.frames.numpy())(every),
    )  # fmt: skip


def as_markdown(rows: Sequence[DecoderRow]) -> str:
    """A line per decoder; time as a ratio too."""
    lines = [
        "| decoder | parameters | ms / clip | times as fast | PSNR to truth, dB | PSNR to own, dB "
        f"| {MouthCorrelation.title} | {MissingJoints.title} | {HighFrequencyRatio.title} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        to_own = "" if row.psnr_own is None else f"{row.psnr_own:.1f}"
        lines.append(
            f"| {row.name} | {row.parameters:,} | {1000 * row.seconds:.1f} | {rows[0].seconds / row.seconds:.2f} | {row.psnr_truth:.1f} | {to_own} | "
            f"{row.mouth_correlation:.3f} | {row.missing_joints:.3f} | {row.detail:.3f} |"
        )
    return "\n".join(lines)
