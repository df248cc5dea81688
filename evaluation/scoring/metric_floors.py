"""Which metrics of a score table may gate: those whose floor lies clear of their ceiling on this very benchmark."""

from math import isfinite

import pandas as pd

from evaluation.benchmark.benchmark_plan import GROUND_TRUTH, PIXELS
from evaluation.metrics.facts import MetricFacts
from evaluation.scoring.score_table import find_score


def why_unusable(scores: pd.DataFrame, metric: type[MetricFacts]) -> str:
    """Say why this table's metric cannot gate; empty where it can, or where the table holds no ceiling and floor of it.

    Args:
        scores: of `score_benchmark`. The ceiling is the ground truth's row, the floor that of the metric's class.
        metric: of the registry.
    """
    if metric.floor is None:
        return ""
    ceiling = find_score(scores, GROUND_TRUTH, PIXELS, metric.name)
    floor = find_score(scores, metric.floor.model, metric.floor.mode, metric.name)
    if ceiling is None or floor is None:
        return ""
    sign = 1.0 if metric.higher_is_better else -1.0
    edge = ceiling.ci_low if metric.higher_is_better else ceiling.ci_high
    if not isfinite(ceiling.value):
        return f"the ground truth's {metric.name} is {ceiling.value}"
    # A floor that is undefined (a constant mouth has no correlation) is no evidence against the metric.
    if isfinite(floor.value) and not sign * (edge if isfinite(edge) else ceiling.value) > sign * floor.value:
        return (
            f"its floor ({metric.floor.model}, {metric.floor.mode}) reads {floor.value:.4g} and its ceiling {ceiling.value:.4g}, "
            "which it cannot tell apart"
        )
    return ""
