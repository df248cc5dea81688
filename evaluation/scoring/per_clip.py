"""Clip by clip: the gate's metrics of every sample, and which samples a model does best and worst."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from evaluation.metrics.registry import METRICS, PUPPET_READINGS

BADNESS = "badness"


def sample_rows(
    benchmark: PuppetBenchmark, model: str, mode: str, measured: Measured, truth: PuppetTruth
) -> list[dict[str, Any]]:
    """The gate's metrics of each clip as records of `CLIP_COLUMNS`; none in a mode that the gate does not read.

    A value is NaN where one clip alone does not define it, such as the correlation of a mouth that stays shut.
    """
    metrics = [kind.of_puppets(measured, truth) for kind, reading in PUPPET_READINGS.items() if reading.mode == mode]
    return [
        {
            "benchmark": benchmark.name,
            "model": model,
            "mode": mode,
            "clip": name,
            "metric": metric.name,
            "value": metric(np.array([clip])),
        }
        for clip, name in enumerate(benchmark.names)
        for metric in metrics
    ]


def ranked_samples(samples: pd.DataFrame, model: str) -> pd.DataFrame:
    """One row per clip, worst first: each metric as `metric, mode`, and `badness`.

    Badness is a mean of ranks, so no metric's unit counts.
    """
    own = samples[samples["model"] == model]
    wide = own.assign(column=own["metric"] + ", " + own["mode"]).pivot(index="clip", columns="column", values="value")
    return worst_first(wide, {column: column.partition(", ")[0] for column in wide})


def worst_first(wide: pd.DataFrame, metrics: Mapping[str, str]) -> pd.DataFrame:
    """A row per clip and a column per metric, with `badness`: the mean over columns of the share of clips that are no worse.

    Args:
        wide: the values.
        metrics: the name of each column's metric.
    """
    signs = {column: -1.0 if METRICS[name].higher_is_better else 1.0 for column, name in metrics.items()}
    ranks = {column: (signs[column] * wide[column]).rank(pct=True) for column in wide}
    return wide.assign(**{BADNESS: pd.DataFrame(ranks).mean(axis=1)}).sort_values(
        BADNESS, ascending=False, kind="stable"
    )
