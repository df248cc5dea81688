"""Which metrics of a score table may gate: those whose floor lies clear of their ceiling on this very benchmark."""

from math import isfinite

import pandas as pd

from evaluation.benchmark.benchmark_plan import GROUND_TRUTH, OTHER_IDENTITY, PIXELS, SHUFFLED_AUDIO, TEACHER

# Metric to: is higher better; (model, mode) of the rows that hold its floor. The ceiling is the ground truth's row.
FLOORS = {
    "mouth_correlation": (True, (TEACHER, SHUFFLED_AUDIO)),
    "colour_error": (False, (GROUND_TRUTH, OTHER_IDENTITY)),
}


def why_unusable(scores: pd.DataFrame, metric: str) -> str:
    """Why this table's metric cannot gate; empty where it can, or where the table holds no ceiling and floor of it.

    Args:
        scores: of `score_benchmark`.
        metric: its name there.
    """
    if metric not in FLOORS:
        return ""
    higher, (model, mode) = FLOORS[metric]
    ceiling, floor = _row(scores, GROUND_TRUTH, PIXELS, metric), _row(scores, model, mode, metric)
    if ceiling is None or floor is None:
        return ""
    sign = 1.0 if higher else -1.0
    value, worst = float(ceiling["value"]), float(floor["value"])
    edge = float(ceiling["ci_low"] if higher else ceiling["ci_high"])
    if not isfinite(value):
        return f"the ground truth's {metric} is {value}"
    # A floor that is undefined (a constant mouth has no correlation) is no evidence against the metric.
    if isfinite(worst) and not sign * (edge if isfinite(edge) else value) > sign * worst:
        return f"its floor ({model}, {mode}) reads {worst:.4g} and its ceiling {value:.4g}, which it cannot tell apart"
    return ""


def _row(scores: pd.DataFrame, model: str, mode: str, metric: str) -> pd.Series | None:
    found = scores[(scores["model"] == model) & (scores["mode"] == mode) & (scores["metric"] == metric)]
    return found.iloc[0] if len(found) else None
