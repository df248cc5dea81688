"""A benchmark by its folder, whatever kind it is."""

from pathlib import Path

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.puppet_benchmark import load_puppets
from profiles.judging import PUPPETS, benchmark_folder, benchmark_kind


def load_benchmark(root: Path, name: str) -> Benchmark:
    """Open the benchmark `name` of `benchmark_sets`.

    Args:
        root: folder of all benchmarks.
        name: as in `evaluation.benchmarks`.

    Raises:
        evaluation.benchmark.benchmark.BenchmarkError: it is not there.
    """
    folder = root / benchmark_folder(name)
    return load_puppets(folder) if benchmark_kind(name) == PUPPETS else ClipBenchmark(folder, name)
