"""Teacher and student beside ceilings and floors: a table, a plot, a contact sheet and a video with sound."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import (
    AUDIO,
    GROUND_TRUTH,
    OTHER_IDENTITY,
    PIXELS,
    POSE,
    POSE_ALONE,
    RECONSTRUCTION,
    SECOND_SEED,
    SHUFFLED_AUDIO,
    SHUFFLED_POSE,
    STUDENT,
    TEACHER,
    ModelPlan,
)
from evaluation.pages.film import save_talking_video
from evaluation.pages.paper_tables import paper_tables
from evaluation.pages.pictures import contact_sheet, score_bars
from evaluation.scoring.comparison_columns import Column, columns_of
from evaluation.scoring.score_table import score_of
from media import whole_directory, write_atomically
from media.hiding import Hide, as_it_is
from profiles.judging import PUPPETS


@dataclass(frozen=True)
class Row:
    """One row of the table. `modes` says under which mode a column's metric is looked up for this row, if not its own."""

    title: str
    model: str
    modes: dict[str, str]


def comparison_rows(plan: Sequence[ModelPlan]) -> list[Row]:
    """Ceilings first, then the models, then the floors."""
    pixels = {AUDIO: PIXELS, POSE: PIXELS}
    rows = [
        Row("ground truth (measured)", GROUND_TRUTH, pixels),
        Row("reconstruction (ceiling)", RECONSTRUCTION, pixels),
    ]
    rows += [Row(model.title, model.name, {}) for model in plan]
    for model in plan:
        if SHUFFLED_AUDIO in model.modes:
            modes = {AUDIO: SHUFFLED_AUDIO, POSE: "", SECOND_SEED: ""}
            rows.append(Row(f"floor: {model.title}, another clip's sound", model.name, modes))
        if POSE_ALONE in model.modes:
            rows.append(
                Row(f"{model.title}, pose and no sound", model.name, {AUDIO: "", POSE: POSE_ALONE, SECOND_SEED: ""})
            )
        if SHUFFLED_POSE in model.modes:
            modes = {AUDIO: "", POSE: SHUFFLED_POSE, SECOND_SEED: ""}
            rows.append(Row(f"floor: {model.title}, another clip's pose", model.name, modes))
    rows.append(Row("floor: another person's reference", GROUND_TRUTH, {AUDIO: OTHER_IDENTITY, POSE: ""}))
    return rows


def comparison_table(scores: pd.DataFrame, plan: Sequence[ModelPlan]) -> pd.DataFrame:
    """Rows by title, columns by title, float values with NaN where a number does not exist."""
    rows = comparison_rows(plan)
    columns = columns_of(scores)
    values = [[score_of(scores, r.model, r.modes.get(c.mode, c.mode), c.metric) for c in columns] for r in rows]
    return pd.DataFrame(values, index=[r.title for r in rows], columns=[c.title for c in columns])


def compare(
    scores: pd.DataFrame,
    benchmark: Benchmark,
    generated_root: Path,
    destination: Path,
    plan: Sequence[ModelPlan],
    mode: str = AUDIO,
    hide: Hide = as_it_is,
) -> dict[str, Any]:
    """Write `comparison.json`, `comparison.md`, `scores.png`, `contact_sheet.png` and `student.mp4`.

    Args:
        scores: the benchmark's rows of the table of `score_benchmark`.
        benchmark: the truth behind it.
        generated_root: the benchmark's part of `generated_videos`.
        destination: folder to make or replace.
        plan: `generation_plan(config, benchmark)`, the models in the order of the rows.
        mode: whose videos are shown.
        hide: what every picture goes through.

    Returns:
        What `comparison.json` holds: the table by row and column (None where there is no number), the student's
        differences from the teacher, the benchmark's digest.

    Raises:
        evaluation.benchmark.generate.GenerationError: the teacher's or the student's videos are missing.
        provenance.settings.ProvenanceError: the film cannot be signed.
    """
    table = comparison_table(scores, plan)
    result = {
        "benchmark": benchmark.digest,
        "name": benchmark.name,
        "clips": len(benchmark),
        "table": {title: _without_nan(row) for title, row in table.iterrows()},
        "student_minus_teacher": _differences(scores),
    }
    with whole_directory(destination) as folder:
        write_atomically(folder / "comparison.json", json.dumps(result, indent=2, ensure_ascii=False).encode())
        page = comparison_markdown(table, benchmark, columns_of(scores))
        if benchmark.name != PUPPETS:
            page += "\n" + paper_tables(scores, benchmark.name, _driven_rows(plan, mode))
        write_atomically(folder / "comparison.md", page.encode())
        write_atomically(folder / "scores.png", score_bars(scores, plan))
        write_atomically(folder / "contact_sheet.png", contact_sheet(benchmark, generated_root, mode=mode, hide=hide))
        save_talking_video(folder / "student.mp4", benchmark, generated_root, mode=mode, hide=hide)
    return result


def _driven_rows(plan: Sequence[ModelPlan], mode: str) -> list[tuple[str, str, str]]:
    """Title, model and mode of what is seen and of each model driven in one mode."""
    pixels = [(GROUND_TRUTH, "ground truth (measured)"), (RECONSTRUCTION, "reconstruction (ceiling)")]
    return [(title, model, PIXELS) for model, title in pixels] + [
        (model.title, model.name, mode) for model in plan if mode in model.modes
    ]


def comparison_markdown(table: pd.DataFrame, benchmark: Benchmark, columns: Sequence[Column]) -> str:
    """The table with a heading, for people."""
    digits = [column.digits for column in columns]
    lines = [
        f"# Teacher and student on {len(benchmark)} held-out clips of {benchmark.name}",
        "",
        "audio: caption, reference and sound. pose: keypoints too. Intervals are in scores.parquet and scores.png.",
        "",
        "| model | " + " | ".join(table.columns) + " |",
        "| --- |" + " ---: |" * len(table.columns),
    ]
    for title, row in table.iterrows():
        cells = ["–" if pd.isna(v) else f"{v:.{d}f}" for v, d in zip(row, digits, strict=True)]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _without_nan(row: pd.Series) -> dict[str, float | None]:
    return {str(column): None if pd.isna(value) else float(value) for column, value in row.items()}


def _differences(scores: pd.DataFrame) -> dict[str, float | None]:
    """Per column, distilled student minus teacher."""
    values = pd.Series(
        {
            column.title: score_of(scores, STUDENT, column.mode, column.metric)
            - score_of(scores, TEACHER, column.mode, column.metric)
            for column in columns_of(scores)
        }
    )
    return _without_nan(values)
