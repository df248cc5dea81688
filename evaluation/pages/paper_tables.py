"""Our own models on one benchmark of people in the shape of OmniHuman-1's Tables 1 and 2, from its table of scores."""

from collections.abc import Sequence

import pandas as pd

from evaluation.baselines.published import BODY, CYBERHOST, PORTRAIT, PORTRAIT_SETS, SOURCE, Table
from evaluation.baselines.tables import NOT_HERE, methods_table
from evaluation.metrics import Score
from evaluation.metrics.registry import METRICS
from evaluation.scoring.score_table import find_score
from profiles.judging import TEST_SET

# Published numbers stand beside ours where the frozen set bears the name of theirs.
OF_PORTRAITS = {f"{TEST_SET}:{name}": table for name, table in PORTRAIT_SETS.items()}
OF_BODIES = {f"{TEST_SET}:cyberhost": CYBERHOST}


def paper_tables(scores: pd.DataFrame, benchmark: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """Write a table for each shape of which at least one metric was measured, in Markdown; empty where none was.

    Args:
        scores: the benchmark's rows of the score table.
        benchmark: its name.
        rows: title, model and mode of each row.
    """
    found = {title: _measured(scores, model, mode) for title, model, mode in rows}
    every = {metric for row in found.values() for metric in row}
    shapes = (
        ("Portrait (shape of Table 1)", PORTRAIT, OF_PORTRAITS.get(benchmark)),
        ("Body (shape of Table 2)", BODY, OF_BODIES.get(benchmark)),
    )
    parts = [part for title, names, table in shapes if every & {*names} for part in _shape(title, names, found, table)]
    if not parts:
        return ""
    absent = [METRICS[name].directed_title() for name in BODY if name not in every]
    remedy = "unmeasured.parquet of benchmark_scores says why, and what to do"
    parts += [f"Not measured here: {', '.join(absent)}; {remedy}."] if absent else []
    return "\n\n".join(parts) + "\n"


def _measured(scores: pd.DataFrame, model: str, mode: str) -> dict[str, Score]:
    numbers = {name: find_score(scores, model, mode, name) for name in BODY}
    return {name: Score(**vars(number)) for name, number in numbers.items() if number is not None}


def _shape(title: str, columns: Sequence[str], found: dict[str, dict[str, Score]], table: Table | None) -> list[str]:
    told = f'Columns marked "{NOT_HERE}" are {SOURCE}: other samples, other preprocessing. Do not subtract across them.'
    return [f"## {title}", *([told] if table is not None else []), methods_table(columns, found, {}, {}, table)]
