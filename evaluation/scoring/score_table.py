"""The score table: one number a row. Its columns, how a row is made, and how one is found again."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.metrics import MetricScore, Score
from media.user_error import UserError
from profiles.judging import PUPPETS

NUMBER = tuple(field.name for field in fields(MetricScore))
COLUMNS = ("benchmark", "model", "mode", *NUMBER, "network", "warning", "sampling")
SLICE_COLUMNS = ("benchmark", "model", "mode", "slice", *NUMBER)
CLIP_COLUMNS = ("benchmark", "model", "mode", "clip", "metric", "value")  # of samples.parquet
FITNESS_COLUMNS = ("benchmark", "metric", "unit", "ceiling", "floor", "order", "usable", "reason")  # of fitness.parquet
UNMEASURED_COLUMNS = ("benchmark", "metric", "reason", "remedy")  # of unmeasured.parquet
# What tables of versions up to 0.2 do not have, and what it was for all of them.
SINCE = {"benchmark": PUPPETS, "coverage": 1.0, "network": "", "warning": "", "sampling": ""}


def score_row(benchmark: str, model: str, mode: str, score: MetricScore, **place: str) -> dict[str, Any]:
    """One row as a record; `place` says of which slice it is. How the videos were sampled is added where they are at hand."""
    row = {"benchmark": benchmark, "model": model, "mode": mode, **place, "network": "", "warning": "", "sampling": ""}
    if isinstance(score, Score):
        row["warning"] = score.warning
        row["network"] = "" if score.network is None else f"{score.network.architecture} {score.network.sha256[:12]}"
    return row | {name: getattr(score, name) for name in NUMBER}


def as_table(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Records as a table of these columns."""
    return pd.DataFrame(list(rows), columns=list(columns))


class NotScoredYet(UserError, FileNotFoundError):
    """There are no scores; the message says what makes them."""


def read_scores(file: Path) -> pd.DataFrame:
    """Read a table of scores, slices or samples, of any version."""
    table = pd.read_parquet(file)
    number = "value" in table and "ci_low" in table
    absent = {name: value for name, value in SINCE.items() if name not in table and (number or name == "benchmark")}
    return table.assign(**absent)


def load_scores(folder: Path) -> pd.DataFrame:
    """Read `scores.parquet` of `folder`.

    Raises:
        NotScoredYet: there is no such file.
    """
    file = folder / "scores.parquet"
    if not file.is_file():
        raise NotScoredYet(f"no {file}; make it with `python -m assets benchmark_scores`")
    return read_scores(file)


def of_benchmark(table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """The rows of one benchmark."""
    return table[table["benchmark"] == benchmark]


def find_score(scores: pd.DataFrame, model: str, mode: str, metric: str) -> MetricScore | None:
    """The number of one row of one benchmark's table, None where it was not measured."""
    rows = scores[(scores["model"] == model) & (scores["mode"] == mode) & (scores["metric"] == metric)]
    if not len(rows):
        return None
    row = rows.iloc[0]
    return MetricScore(
        metric,
        row["unit"],
        float(row["value"]),
        float(row["ci_low"]),
        float(row["ci_high"]),
        int(row["clips"]),
        float(row.get("coverage", SINCE["coverage"])),
    )


def score_of(scores: pd.DataFrame, model: str, mode: str, metric: str) -> float:
    """One value of one benchmark's table, NaN where it was not measured."""
    score = find_score(scores, model, mode, metric)
    return float("nan") if score is None else score.value
