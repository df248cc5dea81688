"""Clip by clip: the gate's metrics of every sample, and which samples a model does best and worst."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.benchmark.puppet_benchmark import Benchmark
from evaluation.scoring.score_slices import gated_metrics
from puppets import measure_colours

if TYPE_CHECKING:
    from evaluation.scoring.score import Measured

COLUMNS = ("model", "mode", "clip", "metric", "value")
HIGHER_IS_BETTER = frozenset({"mouth_correlation"})
BADNESS = "badness"


def sample_rows(model: str, mode: str, measured: "Measured", benchmark: Benchmark) -> list[tuple[Any, ...]]:
    """The gate's metrics of each clip as rows of `COLUMNS`; none in a mode that the gate does not read.

    A value is NaN where one clip alone does not define it, such as the correlation of a mouth that stays shut.
    """
    if mode not in (AUDIO, POSE):
        return []
    metrics = list(
        gated_metrics(
            mode, measured, benchmark, measure_colours(benchmark.reference.numpy()), np.arange(len(benchmark))
        )
    )
    clips = enumerate(benchmark.names)
    return [(model, mode, name, metric.name, metric(np.array([clip]))) for clip, name in clips for metric in metrics]


def ranked_samples(samples: pd.DataFrame, model: str) -> pd.DataFrame:
    """One row per clip, worst first: each metric as `metric, mode`, and `badness`.

    Badness is a mean of ranks, so no metric's unit counts.
    """
    own = samples[samples["model"] == model]
    wide = own.assign(column=own["metric"] + ", " + own["mode"]).pivot(index="clip", columns="column", values="value")
    return worst_first(wide, [column for column in wide if column.partition(", ")[0] in HIGHER_IS_BETTER])


def worst_first(wide: pd.DataFrame, higher_is_better: Collection[str]) -> pd.DataFrame:
    """A row per clip and a column per metric, with `badness`: the mean over columns of the share of clips that are no worse."""
    ranks = {column: ((-1.0 if column in higher_is_better else 1.0) * wide[column]).rank(pct=True) for column in wide}
    return wide.assign(**{BADNESS: pd.DataFrame(ranks).mean(axis=1)}).sort_values(
        BADNESS, ascending=False, kind="stable"
    )
