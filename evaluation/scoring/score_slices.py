"""The gate's metrics on parts of the benchmark: an average may hide people, or kinds of motion, that a model fails."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.benchmark.puppet_benchmark import Benchmark
from evaluation.metrics import ColourError, JointErrorMedian, Metric, MissingJoints, MouthCorrelation, estimate
from profiles.schema import EvaluationConfig
from puppets import measure_colours

if TYPE_CHECKING:
    from evaluation.scoring.score import Measured

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
    halves = {
        ("skin: dark", "skin: light"): skin,
        ("arms: slow", "arms: fast"): motion,
        ("speech: little", "speech: much"): speech,
    }
    return {name: chosen for (low, high), of in halves.items() for name, chosen in _halves(low, high, of)}


def slice_rows(
    model: str, mode: str, measured: "Measured", benchmark: Benchmark, config: EvaluationConfig
) -> list[tuple[Any, ...]]:
    """The gate's metrics of one model on every slice, as rows of `COLUMNS`; none in a mode that the gate does not read."""
    if mode not in (AUDIO, POSE):
        return []
    rows = []
    reference = measure_colours(benchmark.reference.numpy())
    for name, chosen in benchmark_slices(benchmark).items():
        for metric in gated_metrics(mode, measured, benchmark, reference, chosen):
            found = estimate(metric, config.bootstrap, config.seed)
            rows.append(
                (model, mode, name, metric.name, metric.unit, found.value, found.ci_low, found.ci_high, len(metric))
            )
    return rows


def _halves(low: str, high: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    # By rank: equal values (two skins, say) must not leave one half empty.
    upper = np.argsort(np.argsort(values, kind="stable")) >= len(values) // 2
    yield low, ~upper
    yield high, upper


def gated_metrics(
    mode: str, measured: "Measured", benchmark: Benchmark, reference: np.ndarray, chosen: np.ndarray
) -> Iterator[Metric]:
    """What the gate reads in this mode, over the clips `chosen`: `(N,)` booleans, or indices."""
    joints = benchmark.joints.numpy()[chosen]
    if mode == POSE:
        yield JointErrorMedian(measured.joints[chosen], joints)
        return
    yield MouthCorrelation(measured.opening[chosen], benchmark.opening.numpy()[chosen])
    yield MissingJoints(measured.missing[chosen], joints)
    yield ColourError(measured.colours[chosen], reference[chosen])
