"""The gate's metrics on parts of the benchmark: an average may hide people, or kinds of motion, that a model fails."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.benchmark import Benchmark
from evaluation.generate import load_generated
from evaluation.metrics import ColourError, JointErrorMedian, Metric, MissingJoints, MouthCorrelation, estimate
from evaluation.plan import AUDIO, POSE, STUDENT
from evaluation.score import Measured, measure_videos
from media import write_atomically
from profiles.schema import EvaluationConfig
from puppets import measure_colours

COLUMNS = ("model", "mode", "slice", "metric", "unit", "value", "ci_low", "ci_high", "clips")
# Red, green and blue to luma, ITU-R BT.709.
LUMA = np.array([0.2126, 0.7152, 0.0722])
SKIN = 1  # of the benchmark's colours: hair, skin, shirt, wall


def benchmark_slices(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """`(N,)` booleans by name. Halves at the median of what is true of the clips: skin, motion of the arms, speech.

    A half depends on the frozen benchmark alone, so all models are judged on the same clips.
    """
    skin = benchmark.colours.numpy()[:, SKIN] @ LUMA
    motion = np.nanmean(np.linalg.norm(np.diff(benchmark.joints.numpy(), axis=1), axis=-1), axis=(1, 2))
    speech = benchmark.opening.numpy().mean(axis=1)
    halves = {("skin: dark", "skin: light"): skin, ("arms: slow", "arms: fast"): motion, ("speech: little", "speech: much"): speech}
    return {name: chosen for (low, high), of in halves.items() for name, chosen in _halves(low, high, of)}


def score_slices(generated_root: Path, benchmark: Benchmark, destination: Path, config: EvaluationConfig, model: str = STUDENT) -> pd.DataFrame:
    """The gate's metrics of one model on every slice; written to `destination`/slices.parquet.

    Args:
        generated_root: `<model>/audio` and `<model>/pose` inside.
        benchmark: the truth.
        destination: an existing folder.
        config: bootstrap.
        model: whose videos.

    Raises:
        evaluation.generate.GenerationError: videos that are missing or belong to another benchmark.
    """
    rows, slices = [], benchmark_slices(benchmark)
    for mode in (AUDIO, POSE):
        frames, _ = load_generated(generated_root / model / mode, benchmark)
        measured = measure_videos(frames)
        for name, chosen in slices.items():
            for metric in _gated(mode, measured, benchmark, chosen):
                found = estimate(metric, config.bootstrap, config.seed)
                rows.append((model, mode, name, metric.name, metric.unit, found.value, found.ci_low, found.ci_high, len(metric)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_atomically(destination / "slices.parquet", table.to_parquet(index=False))
    return table


def _halves(low: str, high: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    # By rank: equal values (two skins, say) must not leave one half empty.
    upper = np.argsort(np.argsort(values, kind="stable")) >= len(values) // 2
    yield low, ~upper
    yield high, upper


def _gated(mode: str, measured: Measured, benchmark: Benchmark, chosen: np.ndarray) -> Iterator[Metric]:
    joints = benchmark.joints.numpy()[chosen]
    if mode == POSE:
        yield JointErrorMedian(measured.joints[chosen], joints)
        return
    yield MouthCorrelation(measured.opening[chosen], benchmark.opening.numpy()[chosen])
    yield MissingJoints(measured.missing[chosen], joints)
    yield ColourError(measured.colours[chosen], measure_colours(benchmark.reference.numpy()[chosen]))
