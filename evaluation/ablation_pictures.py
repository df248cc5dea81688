"""A study to look at: every score with its intervals over variants and seeds, and the variants' videos side by side."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.ablation import SCORED, SCORES
from evaluation.benchmark import Benchmark
from evaluation.generate import enlarge, load_generated
from evaluation.pictures import RED, draw_interval
from evaluation.studies import Study
from media import png_bytes

CLIPS = 4
FRAMES = 4
SCALE = 2
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


def study_sheet(benchmark: Benchmark, videos: Mapping[str, Path]) -> bytes:
    """PNG: a row per variant (audio mode, its first seed) below the ground truth, the same clips in the columns.

    Args:
        benchmark: the truth and the references.
        videos: folder of a variant's generated videos, by its title.
    """
    clips = min(CLIPS, len(benchmark))
    times = np.linspace(0, benchmark.frames.shape[1] - 1, FRAMES).round().astype(int)
    strips = {"ground truth": benchmark.frames.numpy(), **{title: load_generated(folder, benchmark)[0] for title, folder in videos.items()}}
    figure = Figure(figsize=(2.5 + 4.1 * clips, 0.7 + 1.15 * len(strips)), dpi=110, layout="constrained")
    axes = figure.subplots(len(strips), clips, squeeze=False)
    for line, (title, frames) in zip(axes, strips.items(), strict=True):
        for clip, axis in enumerate(line):
            axis.imshow(enlarge(np.concatenate(list(frames[clip, times]), axis=1), SCALE), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(title, fontsize=8, rotation=0, ha="right", va="center")
    for clip, axis in enumerate(axes[0]):
        axis.set_title(benchmark.names[clip], fontsize=10)
    figure.supxlabel("frames " + ", ".join(map(str, times)) + " of each clip", fontsize=9)
    return png_bytes(figure)
