"""What a student that streams loses against the one-step student that it comes from, on puppets of known truth.

Rows beside one another: the rendered truth (ceiling), the one-step student on whole windows, the streaming student latent by latent with as much
of the sound as its lookahead lets it hear, and the same with another clip's sound (floor of the mouth).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evaluation.benchmark.given import given_sound
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.colour import ColourError
from evaluation.metrics.joints import JointErrorMedian, MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.puppet_truth import Measured
from evaluation.metrics.sharpness import high_frequency_energy
from evaluation.scoring.measured import benchmark_truth
from omnihuman.autoencoder import LatentGrid
from puppets import measure

Progress = Callable[[int, int, str], None]
TRUTH, WINDOW, STREAM, OTHER_SOUND = (
    "rendered truth",
    "one-step student, whole window",
    "streaming student",
    "streaming, another's sound",
)


@dataclass(frozen=True)
class StreamingRow:
    """One way to make the benchmark's videos.

    Attributes:
        made: which.
        mouth_correlation: r of the opening in the pixels with the drawn one; audio-driven.
        missing_joints: share of drawn joints that are not found; pose-driven.
        joint_error: median distance of those that are, in pixels; pose-driven.
        colour_error: of the person's colours against the reference; audio-driven.
        detail: high-frequency energy over the truth's; audio-driven.
        change_between: mean change from a latent's last frame to the next one's first, |RGB| in [0, 1]; audio-driven.
        change_within: the same between frames of one latent.
    """

    made: str
    mouth_correlation: float
    missing_joints: float
    joint_error: float
    colour_error: float
    detail: float
    change_between: float
    change_within: float


def compare_streaming(
    parent: Any,
    student: Any,
    benchmark: PuppetBenchmark,
    seed: int,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[StreamingRow]:
    """Make the benchmark's videos each way and measure them; the same seed for all.

    Args:
        parent: pipeline of the one-step student.
        student: pipeline of the streaming student.
        benchmark: puppets.
        seed: of the noise.
        batch_size: clips at a time.
        progress: called with (videos of a kind done, kinds, note).
    """
    own = range(len(benchmark))
    others = [given_sound(benchmark, own, clip) for clip in own]
    truth = benchmark.frames.numpy()
    ways = [(WINDOW, parent, own), (STREAM, student, own), (OTHER_SOUND, student, others)]
    stride = LatentGrid.of(student.vae).temporal_stride
    rows = [_row(TRUTH, truth, truth, benchmark, stride)]
    for done, (made, pipeline, sounds) in enumerate(ways):
        if progress is not None:
            progress(done, len(ways), made)
        spoken, posed = (_videos(pipeline, benchmark, sounds, pose, seed, batch_size) for pose in (False, True))
        rows.append(_row(made, spoken, posed, benchmark, stride))
    return rows


def _videos(
    pipeline: Any, benchmark: PuppetBenchmark, sounds: Sequence[int], pose: bool, seed: int, batch_size: int
) -> np.ndarray:
    made = []
    for first in range(0, len(benchmark), batch_size):
        clips = list(range(first, min(first + batch_size, len(benchmark))))
        generators = [torch.Generator().manual_seed(seed + clip) for clip in clips]
        made.append(
            pipeline(
                [benchmark.captions[clip] for clip in clips],
                benchmark.reference[clips],
                [benchmark.audio[sounds[clip]] for clip in clips],
                benchmark.keypoints[clips] if pose else None,
                num_frames=benchmark.frames.shape[1],
                generator=generators,
            ).frames.numpy()
        )
    return np.concatenate(made)


def _row(
    made: str, spoken: np.ndarray, posed: np.ndarray, benchmark: PuppetBenchmark, temporal_stride: int
) -> StreamingRow:
    every, truth = np.arange(len(benchmark)), benchmark_truth(benchmark)
    heard, moved = (Measured.stacked([measure(clip) for clip in frames]) for frames in (spoken, posed))
    between, within = latent_changes(spoken, temporal_stride)
    return StreamingRow(
        made,
        MouthCorrelation.of_puppets(heard, truth)(every),
        MissingJoints.of_puppets(moved, truth)(every),
        JointErrorMedian.of_puppets(moved, truth)(every),
        ColourError.of_puppets(heard, truth)(every),
        float(high_frequency_energy(spoken).sum() / high_frequency_energy(benchmark.frames.numpy()).sum()),
        between,
        within,
    )


def latent_changes(frames: np.ndarray, temporal_stride: int) -> tuple[float, float]:
    """Mean |RGB| in [0, 1] from frame to frame of `(N, T, H, W, 3)` uint8: across the borders of latents, and inside them; NaN inside where a latent is one frame."""
    change = np.abs(np.diff(frames.astype(np.float32) / 255.0, axis=1)).mean(axis=(0, 2, 3, 4))
    border = np.arange(len(change)) % temporal_stride == 0  # frame 0 is a latent
    within = float(change[~border].mean()) if temporal_stride > 1 else float("nan")
    return float(change[border].mean()), within


def as_markdown(rows: Sequence[StreamingRow]) -> str:
    """A line for each."""
    lines = [
        "| made | mouth r | joints missing, posed | joint error, posed, px | colour error | detail / truth | change between / within latents |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        changes = f"{row.change_between:.4f} / {row.change_within:.4f}"
        lines.append(
            f"| {row.made} | {row.mouth_correlation:.3f} | {row.missing_joints:.3f} | {row.joint_error:.2f} | {row.colour_error:.3f} "
            f"| {row.detail:.2f} | {changes} |"
        )
    return "\n".join(lines)
