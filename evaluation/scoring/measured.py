"""Puppets read back from videos, and the benchmark's truth in the same form."""

import numpy as np

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from puppets import measure, measure_colours


def measure_videos(frames: np.ndarray) -> Measured:
    """Measure `(N, T, 64, 64, 3)` uint8 clip by clip."""
    return Measured.stacked([measure(clip) for clip in frames])


def benchmark_truth(benchmark: PuppetBenchmark) -> PuppetTruth:
    """What is true of every clip of a benchmark."""
    return PuppetTruth(
        benchmark.opening.numpy(), benchmark.joints.numpy(), measure_colours(benchmark.reference.numpy())
    )
