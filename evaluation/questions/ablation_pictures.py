"""A study to look at: every score with its intervals over variants and seeds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.pages.pictures import RED, draw_interval
from evaluation.questions.ablation import SCORED, SCORES
from evaluation.questions.studies import Study
from media import png_bytes

PANELS = 4  # a row of the plot


def study_plot(table: pd.DataFrame, study: Study) -> bytes:
    """PNG: a panel per score; a point with its 95 % bootstrap interval per variant and seed, the first variant's mean as a line."""
    scored = table[table["status"] == SCORED]
    columns = [name for name in SCORES if name in scored and scored[name].notna().any()] if len(scored) else []
    titles = {variant.name: variant.title for variant in study.variants}
    names = list(dict.fromkeys(table["variant"]))
    rows = max(1, -(-len(columns) // PANELS))
    figure = Figure(figsize=(4.2 * PANELS, (1.2 + 0.45 * len(names)) * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, PANELS, squeeze=False, sharey=True)
    for axis in axes.flat[len(columns) :]:
        axis.set_visible(False)
    for axis, column in zip(axes.flat, columns, strict=False):
        for place, name in enumerate(names):
            _points(axis, scored[scored["variant"] == name], column, place)
        first = scored[scored["variant"] == study.variants[0].name][column].mean()
        if np.isfinite(first):
            axis.axvline(float(first), color=RED, linewidth=1, linestyle="--")
        axis.set_title(column.replace("_", " "), fontsize=10)
        axis.set_yticks(range(len(names)), [titles.get(n, n.replace("_", " ")) for n in names], fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(axis="x", linewidth=0.3)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    return png_bytes(figure)


def _points(axis: Axes, rows: pd.DataFrame, column: str, place: int) -> None:
    seeds = len(rows)
    for number, row in enumerate(rows.to_dict("records")):
        value, low, high = row[column], row.get(f"{column}_low", np.nan), row.get(f"{column}_high", np.nan)
        height = place + 0.22 * (number - (seeds - 1) / 2) / max(1, seeds - 1)
        draw_interval(axis, value, low, high, height)
