"""Which sound and which pose a clip of a benchmark is given in a mode."""

from collections.abc import Sequence

import torch
from torch import Tensor

from evaluation.benchmark.benchmark import Benchmark, BenchmarkSample
from evaluation.benchmark.benchmark_plan import POSE_ALONE, POSED, SHUFFLED_AUDIO, SHUFFLED_POSE


def given_sound(benchmark: Benchmark, clips: Sequence[int], clip: int) -> int:
    """The clip whose sound `clip` is given in the shuffled mode: the next one that has some, so nobody keeps their own."""
    return clips[(clips.index(clip) + 1) % len(clips)]


def given_pose(benchmark: Benchmark, clips: Sequence[int], clip: int) -> int:
    """The clip whose pose `clip` is given in the shuffled mode: the next one of its shape, whose pixels its keypoints are in."""
    alike = [other for other in clips if benchmark.shape(other) == benchmark.shape(clip)]
    return alike[(alike.index(clip) + 1) % len(alike)]


def heard_in(
    benchmark: Benchmark, clips: Sequence[int], clip: int, sample: BenchmarkSample, mode: str
) -> Tensor | None:
    """The sound of a clip, or None."""
    if mode == POSE_ALONE:
        return None
    return benchmark.sample(given_sound(benchmark, clips, clip)).audio if mode == SHUFFLED_AUDIO else sample.audio


def posed_in(
    benchmark: Benchmark, clips: Sequence[int], clip: int, sample: BenchmarkSample, mode: str
) -> Tensor | None:
    """The keypoints of a clip, or None."""
    if mode == SHUFFLED_POSE:
        return benchmark.sample(given_pose(benchmark, clips, clip)).keypoints
    return sample.keypoints if mode in POSED else None


def stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    """One batch; None where its clips have none (a batch's clips are alike in that)."""
    there = [part for part in parts if part is not None]
    return torch.stack(there) if there else None
