"""A study's table: one row per variant and seed with its bootstrap intervals, and the same for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.benchmark.benchmark_plan import AUDIO, POSE, SECOND_SEED
from evaluation.metrics.registry import PUPPET_READINGS, READINGS
from evaluation.questions.studies import Study
from evaluation.scoring.score_table import find_score

# Column of the table -> metric and mode of the score table.
_NAMED = {
    "mouth_r": ("mouth_correlation", AUDIO),
    "colour_error": ("colour_error", AUDIO),
    "missing_joints_audio": ("missing_joints", AUDIO),
    "missing_hands_audio": ("missing_hands", AUDIO),
    "joints_px_pose": ("joint_error_median", POSE),
    "missing_joints_pose": ("missing_joints", POSE),
    "missing_hands_pose": ("missing_hands", POSE),
    "joint_diversity_px": ("joint_diversity", SECOND_SEED),
    "latent_frechet": ("latent_frechet", AUDIO),
    "latent_frechet_arms": ("latent_frechet_arms", AUDIO),
}
_GATED = {f"{kind.name}_{reading.mode}": (kind.name, reading.mode) for kind, reading in PUPPET_READINGS.items()}
_OF_PUPPETS = _NAMED | {column: score for column, score in _GATED.items() if score not in _NAMED.values()}
# Of people a metric stands in the mode that its benchmark's tables show it in.
_OF_PEOPLE = {
    f"{kind.name}_{mode}": (kind.name, mode)
    for kind, reading in READINGS.items()
    if kind not in PUPPET_READINGS
    for mode in dict.fromkeys((reading.mode, POSE))
}
SCORES = _OF_PUPPETS | _OF_PEOPLE
# Columns of a training's curve, of which the mean over the last quarter is shown.
CURVES = ("loss", "discriminator_loss", "logit_gap", "r1")
SCORED = "scored"
NOTE = (
    "Mean over seeds. In brackets the interval: the lowest lower and the highest upper end of the seeds' own 95 % bootstrap intervals over "
    "clips (where a number is one of the whole set, the smallest and the largest seed); then the difference from the first row, with a star "
    "where the two intervals do not touch."
)


def ablation_row(
    variant: str, seed: int | None, model: str, scores: pd.DataFrame, curve: pd.DataFrame | None
) -> dict[str, Any]:
    """One trained variant as a row: `model`'s scores with `_low` and `_high`, and the last quarter of its training's curve."""
    row: dict[str, Any] = {"variant": variant, "seed": seed, "status": SCORED}
    for column, (metric, mode) in SCORES.items():
        score = find_score(scores, model, mode, metric)
        if score is None and column in _OF_PEOPLE:
            continue
        ends = (float("nan"),) * 3 if score is None else (score.value, score.ci_low, score.ci_high)
        row |= dict(zip((column, f"{column}_low", f"{column}_high"), ends, strict=True))
    if curve is not None:
        tail = curve[curve["step"] >= 0.75 * curve["step"].max()]
        row |= {f"last_{name}": float(tail[name].mean()) for name in CURVES if name in tail}
    return row


def columns_of(table: pd.DataFrame) -> list[str]:
    """The columns that hold numbers of their own, in the table's order: no intervals, and none without a single number."""
    numbers = [*SCORES, *(f"last_{name}" for name in CURVES)]
    return [name for name in numbers if name in table and table[name].notna().any()]


def spread(rows: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Mean over seeds, and the outermost ends of the seeds' intervals; without intervals the smallest and largest seed."""
    values = rows[column]
    low = rows[f"{column}_low"].fillna(values) if f"{column}_low" in rows else values
    high = rows[f"{column}_high"].fillna(values) if f"{column}_high" in rows else values
    # A percentile interval need not hold the value itself.
    return float(values.mean()), float(np.fmin(low, values).min()), float(np.fmax(high, values).max())


def ablation_markdown(table: pd.DataFrame, study: Study, command: str, commit: str) -> str:
    """The table for people.

    Args:
        table: rows of `ablation_row`; a training that failed has only variant, seed and status.
        study: whose variants they are.
        command: that made it.
        commit: of the code.
    """
    scored = table[table["status"] == SCORED]
    columns = columns_of(scored)
    lines = [
        f"# {study.title}",
        "",
        f"`{command}` at commit {commit}. Trained anew: {', '.join(study.trains)}. {NOTE}",
        "",
    ]
    lines += [
        "| variant | paper | seeds | " + " | ".join(columns) + " |",
        "| --- | --- | --- |" + " ---: |" * len(columns),
    ]
    titles = {v.name: (v.title, v.claim) for v in study.variants}
    first = study.variants[0].name
    full = scored[scored["variant"] == first]
    for name in dict.fromkeys(table["variant"]):
        title, claim = titles.get(str(name), (str(name).replace("_", " "), "stands; not trained by the study"))
        own = scored[scored["variant"] == name]
        cells = [_cell(own, full if name != first else None, column) for column in columns]
        lines.append(f"| {title} | {claim} | {_seeds(table[table['variant'] == name])} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _seeds(rows: pd.DataFrame) -> str:
    scored = rows[rows["status"] == SCORED]
    failed = "; ".join(f"seed {int(r.seed)}: {r.status}" for r in rows[rows["status"] != SCORED].itertuples())
    seeds = ", ".join("-" if pd.isna(seed) else str(int(seed)) for seed in scored["seed"])
    return f"{seeds} ({failed})".strip() if failed else seeds


def _cell(rows: pd.DataFrame, full: pd.DataFrame | None, column: str) -> str:
    if rows[column].dropna().empty:
        return "–"
    value, low, high = spread(rows, column)
    text = f"{value:.3f}" if low == high else f"{value:.3f} ({low:.3f} to {high:.3f})"
    if full is None or full[column].dropna().empty:
        return text
    other, other_low, other_high = spread(full, column)
    # One number without an interval is apart from nothing.
    known = low < high and other_low < other_high
    apart = known and (low > other_high or high < other_low)
    return f"{text}; {value - other:+.3f}{'*' if apart else ''}"


def in_order(rows: Sequence[dict[str, Any]], study: Study) -> pd.DataFrame:
    """Rows as a table, by the study's order of variants; what stands beside them first."""
    order = [study.beside, *(variant.name for variant in study.variants)]
    return pd.DataFrame(rows).sort_values(
        "variant", key=lambda names: names.map(order.index), kind="stable", ignore_index=True
    )
