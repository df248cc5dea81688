"""Pictures of what curation did, as PNG bytes: the funnel, score histograms with thresholds, sweeps, contact sheets."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from curation.scores.registry import columns_of
from curation.subsets.nested_subsets import parse_predicates
from curation.subsets.predicates import threshold_of
from curation.subsets.threshold_sweep import OMNIHUMAN_KEEP_RATE, Curve, Sweep
from media import png_bytes
from profiles.conditions import SUBSETS, TABLE
from profiles.schema import CurationConfig

COLUMNS = 4
MARGIN = 4  # pixels between pictures of a contact sheet
TAILS = (
    0.5,
    99.5,
)  # percent of the values that a histogram shows by themselves; the rest stands in its first and last bar
BINS = 40
BLUE, RED, GREY = "#4477aa", "#cc3311", "#888888"
SUBSET_COLOURS: dict[str, str] = {row.name: row.colour for row in TABLE if row.subset}


def thresholds(config: CurationConfig) -> dict[str, list[tuple[str, str, float]]]:
    """Column to (subset, comparison, number) for every clause `column < number` of the predicates."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for subset, predicate in parse_predicates(config).items():
        for threshold in filter(None, map(threshold_of, predicate.clauses)):
            found.setdefault(threshold.column, []).append((subset, threshold.comparison, threshold.number))
    return found


def score_histograms(scores: pd.DataFrame, config: CurationConfig) -> bytes:
    """One histogram per score column of a shard's table; a predicate's threshold is a red line."""
    names = [name for name, kind in columns_of(config.scores).items() if name in scores and kind == "float"]
    limits = thresholds(config)
    names.sort(key=lambda name: name not in limits)  # those that decide come first
    rows = max(1, -(-len(names) // COLUMNS))
    figure = Figure(figsize=(3.2 * COLUMNS, 2.2 * rows))
    _lay_out(figure, COLUMNS, rows)
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        values = scores[name].to_numpy(float)
        shown = values[np.isfinite(values)]
        shown_limits = [number for _, _, number in limits.get(name, [])]
        _histogram(axes, shown, shown_limits)
        for subset, comparison, number in limits.get(name, []):
            axes.axvline(number, color=RED, linewidth=1.2, label=f"{subset}: {comparison} {number:g}")
            axes.legend(fontsize=7)
        missing = len(values) - len(shown)
        axes.set_title(name + (f" ({missing} without)" if missing else ""), fontsize=9)
        axes.tick_params(labelsize=7)
    return png_bytes(figure)


def value_histograms(measures: Mapping[str, pd.Series]) -> bytes:
    """One histogram per name, side by side."""
    figure = Figure(figsize=(3.2 * len(measures), 2.2))
    _lay_out(figure, len(measures), 1)
    for place, (name, values) in enumerate(measures.items(), start=1):
        axes = figure.add_subplot(1, len(measures), place)
        _histogram(axes, values.dropna().to_numpy(float), [])
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    return png_bytes(figure)


def _histogram(axes: Axes, values: np.ndarray, limits: Sequence[float]) -> None:
    """Counts on a logarithmic scale, so that the few who are turned away can be seen beside the many; a few far values
    do not stretch the axis, but it reaches every limit."""
    low, high = np.percentile(values, TAILS) if len(values) else (0.0, 1.0)
    low, high = min([low, *limits]), max([high, *limits])
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high) if high > low else None)
    axes.stairs(counts, edges, fill=True, color=BLUE)  # one outline; forty bars take three times as long to draw
    if len(values):
        axes.set_yscale("log")
        axes.set_ylim(0.7, 1.3 * counts.max())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_yticks([])
    axes.set_ylabel("how many", fontsize=7)


def _lay_out(figure: Figure, columns: int, rows: int) -> None:
    """Room for titles and labels of panels of equal size. Constrained layout would draw every panel twice more to find it."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.5 / width, 0.25 / height, 1 - 0.1 / width, 1 - 0.25 / height)
    panel = (width - 0.6 - 0.5 * (columns - 1)) / columns, (height - 0.5 - 0.5 * (rows - 1)) / rows
    figure.subplots_adjust(wspace=0.5 / panel[0], hspace=0.5 / panel[1])


def funnel_chart(funnel: dict[str, Any]) -> bytes:
    """Bars from all clips to the pose subset, with counts and shares."""
    stages = ["clips_in", *SUBSETS]
    counts = [funnel[stage] for stage in stages]
    figure = Figure(figsize=(5.0, 2.2), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(["all clips", *SUBSETS][::-1], counts[::-1], color=BLUE)
    whole = max(counts[0], 1)
    axes.bar_label(bars, [f"{count} ({count / whole:.0%})" for count in counts[::-1]], padding=3, fontsize=8)
    axes.set_xlim(0, whole * 1.25)
    axes.set_xlabel("clips")
    return png_bytes(figure)


def sweep_chart(found: Sweep) -> bytes:
    """Keep-rate and hours of each subset against each threshold; OmniHuman's 13 % is the dotted line."""
    columns = min(3, max(1, len(found.curves)))
    rows = max(1, -(-len(found.curves) // columns))
    figure = Figure(figsize=(4.6 * columns, 3.2 * rows), layout="constrained")
    whole = max(found.selection.hours, 1e-12)
    for place, curve in enumerate(found.curves, start=1):
        axes = figure.add_subplot(rows, columns, place)
        for name, hours in curve.hours.items():
            axes.plot(curve.values, hours / whole, color=SUBSET_COLOURS[name], label=name)
        axes.axvline(curve.threshold.number, color=RED, linewidth=1.2)
        axes.axhline(OMNIHUMAN_KEEP_RATE, color=GREY, linestyle=":", label="OmniHuman: 13 %")
        axes.set_ylim(0, 1.02)
        axes.set_title(f"{curve.subset}: {curve.clause}", fontsize=9)
        axes.set_ylabel("share of all hours", fontsize=8)
        axes.tick_params(labelsize=7)
        right = axes.secondary_yaxis("right", functions=(partial(np.multiply, whole), partial(np.multiply, 1 / whole)))
        right.set_ylabel("hours", fontsize=8)
        right.tick_params(labelsize=7)
        axes.legend(fontsize=7)
    return png_bytes(figure)


def sweep_rows(found: Sweep, points: int = 7) -> list[dict[str, Any]]:
    """The curves as a table: at most `points` thresholds each, the profile's own marked `*`."""
    rows: list[dict[str, Any]] = []
    for curve in found.curves:
        for index in _shown(curve, points):
            own = curve.values[index] == curve.threshold.number
            row: dict[str, Any] = {
                "subset": curve.subset,
                "threshold": f"{curve.threshold.column} {curve.threshold.comparison} {curve.values[index]:.4g}",
                "profile": "*" if own else "",
            }
            for name in SUBSETS:
                hours = curve.hours[name][index] if name in curve.hours else found.selection.subset_hours[name]
                row[f"{name} hours"] = f"{hours:.4g}"
                row[f"{name} share"] = f"{hours / found.selection.hours:.1%}" if found.selection.hours else "-"
            rows.append(row)
    return rows


def _shown(curve: Curve, points: int) -> list[int]:
    spread = np.linspace(0, len(curve.values) - 1, points).round().astype(int)
    own = int(np.flatnonzero(curve.values == curve.threshold.number)[0])
    return sorted({*spread.tolist(), own})


def contact_sheet(frames: Sequence[np.ndarray], labels: Sequence[str], columns: int = 8, height: int = 128) -> bytes:
    """Pictures side by side, each as wide as it is and with its label above; a full row is followed by another.

    Args:
        frames: `(H, W, 3)` uint8 RGB each, of any sizes.
        labels: as many texts; ASCII is drawn.
        columns: square pictures in a row; of wider ones there are fewer.
        height: pixels that each picture is brought to.

    Raises:
        ValueError: no pictures, or another number of labels.
    """
    if not frames or len(frames) != len(labels):
        raise ValueError(
            f"a contact sheet needs one label per picture, got {len(frames)} pictures and {len(labels)} labels"
        )
    cells = [_cell(image, label, height) for image, label in zip(frames, labels, strict=True)]
    rows = [np.hstack(row) for row in _wrapped(cells, columns * (height + MARGIN))]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    done, data = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError("OpenCV could not encode the contact sheet as PNG")
    return data.tobytes()


def _wrapped(cells: Sequence[np.ndarray], limit: int) -> list[list[np.ndarray]]:
    rows: list[list[np.ndarray]] = [[]]
    for cell in cells:
        if rows[-1] and sum(c.shape[1] for c in rows[-1]) + cell.shape[1] > limit:
            rows.append([])
        rows[-1].append(cell)
    return rows


def _cell(image: np.ndarray, label: str, height: int) -> np.ndarray:
    width = scaled_width = max(1, round(image.shape[1] * height / image.shape[0]))
    cell = np.full((height + 18, width + MARGIN, 3), 255, np.uint8)
    # Small pictures are enlarged without smoothing: what the model sees are these pixels.
    how = cv2.INTER_NEAREST if image.shape[0] < height else cv2.INTER_AREA
    cell[16 : 16 + height, 2 : 2 + scaled_width] = cv2.resize(image, (scaled_width, height), interpolation=how)
    letters = max(4, width // 7)
    cv2.putText(cell, label[:letters], (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
