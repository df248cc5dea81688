"""The gate's metrics on parts of the benchmark: an average may hide people, or kinds of motion, that a model fails."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.bootstrap import score_metric
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from evaluation.metrics.registry import PUPPET_READINGS
from evaluation.scoring.score_table import score_row
from profiles.schema import EvaluationConfig

# Red, green and blue to luma, ITU-R BT.709.
LUMA = np.array([0.2126, 0.7152, 0.0722])
SKIN = 1  # of the benchmark's colours: hair, skin, shirt, wall


def benchmark_slices(benchmark: PuppetBenchmark) -> dict[str, np.ndarray]:
    """`(N,)` booleans by name. Halves at the median of what is true of the clips: skin, motion of the arms, speech.

    A half depends on the frozen benchmark alone, so all models are judged on the same clips.
    """
    skin = benchmark.colours.numpy()[:, SKIN] @ LUMA
    motion = np.nanmean(np.linalg.norm(np.diff(benchmark.joints.numpy(), axis=1), axis=-1), axis=(1, 2))
    speech = benchmark.opening.numpy().mean(axis=1)
    halves = {
        ("skin: dark", "skin: light"): skin,
        ("arms: slow", "arms: fast"): motion,
        ("speech: little", "speech: much"): speech,
    }
    return {name: chosen for (low, high), of in halves.items() for name, chosen in _halves(low, high, of)}


def slice_rows(
    benchmark: PuppetBenchmark,
    model: str,
    mode: str,
    measured: Measured,
    truth: PuppetTruth,
    slices: Mapping[str, np.ndarray],
    config: EvaluationConfig,
) -> list[dict[str, Any]]:
    """The gate's metrics of one model on every slice, as records of `SLICE_COLUMNS`; none in a mode that the gate does not read."""
    metrics = [kind for kind, reading in PUPPET_READINGS.items() if reading.mode == mode]
    rows = []
    for name, chosen in slices.items():
        for kind in metrics:
            score = score_metric(kind.of_puppets(measured.of(chosen), truth.of(chosen)), config.bootstrap, config.seed)
            rows.append(score_row(benchmark.name, model, mode, score, slice=name))
    return rows


def _halves(low: str, high: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    # By rank: equal values (two skins, say) must not leave one half empty.
    upper = np.argsort(np.argsort(values, kind="stable")) >= len(values) // 2
    yield low, ~upper
    yield high, upper
