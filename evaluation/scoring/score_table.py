"""The score table: one number a row. Its columns, how a row is made, and how one is found again."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.metrics import MetricScore
from media.user_error import UserError

NUMBER = tuple(field.name for field in fields(MetricScore))
COLUMNS = ("model", "mode", *NUMBER)
SLICE_COLUMNS = ("model", "mode", "slice", *NUMBER)
CLIP_COLUMNS = ("model", "mode", "clip", "metric", "value")  # of samples.parquet


def score_row(model: str, mode: str, score: MetricScore, **place: str) -> dict[str, Any]:
    """One row as a record; `place` says of which slice it is."""
    return {"model": model, "mode": mode, **place, **asdict(score)}


def as_table(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Records as a table of these columns."""
    return pd.DataFrame(list(rows), columns=list(columns))


class NotScoredYet(UserError, FileNotFoundError):
    """There are no scores; the message says what makes them."""


def load_scores(folder: Path) -> pd.DataFrame:
    """Read `scores.parquet` of `folder`.

    Raises:
        NotScoredYet: there is no such file.
    """
    file = folder / "scores.parquet"
    if not file.is_file():
        raise NotScoredYet(f"no {file}; make it with `python -m assets benchmark_scores`")
    return pd.read_parquet(file)


def find_score(scores: pd.DataFrame, model: str, mode: str, metric: str) -> MetricScore | None:
    """The number of one row, None where it was not measured."""
    rows = scores[(scores["model"] == model) & (scores["mode"] == mode) & (scores["metric"] == metric)]
    if not len(rows):
        return None
    row = rows.iloc[0]
    return MetricScore(
        metric, row["unit"], float(row["value"]), float(row["ci_low"]), float(row["ci_high"]), int(row["clips"])
    )


def score_of(scores: pd.DataFrame, model: str, mode: str, metric: str) -> float:
    """One value of the table, NaN where it was not measured."""
    score = find_score(scores, model, mode, metric)
    return float("nan") if score is None else score.value
