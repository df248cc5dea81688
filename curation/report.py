"""Pictures of what curation did, as PNG bytes: the funnel, score histograms with their thresholds, contact sheets."""

import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from curation.scores.clip import SCORES
from curation.subsets import SUBSETS, predicates_of
from media import png_bytes
from profiles.schema import CurationConfig

_THRESHOLD = re.compile(r"\b(\w+)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)")
COLUMNS = 4


def thresholds(config: CurationConfig) -> dict[str, list[tuple[str, str, float]]]:
    """Column to (subset, comparison, number) for every plain `column < number` in the predicates."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for subset, text in predicates_of(config).items():
        for column, comparison, number in _THRESHOLD.findall(text):
            found.setdefault(column, []).append((subset, comparison, float(number)))
    return found


def score_histograms(scores: pd.DataFrame, config: CurationConfig) -> bytes:
    """One histogram per score column of a shard's table; a predicate's threshold is a red line."""
    names = [name for name in SCORES if name in scores and name != "has_audio"]
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(3.2 * COLUMNS, 2.2 * rows), layout="constrained")
    limits = thresholds(config)
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        values = scores[name].to_numpy(float)
        shown = values[np.isfinite(values)]
        axes.hist(shown, bins=40, color="#4477aa")
        for subset, comparison, number in limits.get(name, []):
            axes.axvline(number, color="#cc3311", linewidth=1.2, label=f"{subset}: {comparison} {number:g}")
            axes.legend(fontsize=7)
        missing = len(values) - len(shown)
        axes.set_title(name + (f" ({missing} without)" if missing else ""), fontsize=9)
        axes.tick_params(labelsize=7)
    return png_bytes(figure)


def funnel_chart(funnel: dict[str, Any]) -> bytes:
    """Bars from all clips to the pose subset, with counts and shares."""
    stages = ["clips_in", *SUBSETS]
    counts = [funnel[stage] for stage in stages]
    figure = Figure(figsize=(5.0, 2.2), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(stages[::-1], counts[::-1], color="#4477aa")
    whole = max(counts[0], 1)
    axes.bar_label(bars, [f"{count} ({count / whole:.0%})" for count in counts[::-1]], padding=3, fontsize=8)
    axes.set_xlim(0, whole * 1.25)
    axes.set_xlabel("clips")
    return png_bytes(figure)


def contact_sheet(frames: Sequence[np.ndarray], labels: Sequence[str], columns: int = 8, height: int = 128) -> bytes:
    """Pictures in a grid, each with its label above.

    Args:
        frames: `(H, W, 3)` uint8 RGB each, of any sizes.
        labels: as many texts; ASCII is drawn.
        columns: pictures in a row.
        height: pixels that each picture is brought to.

    Raises:
        ValueError: no pictures, or another number of labels.
    """
    if not frames or len(frames) != len(labels):
        raise ValueError(
            f"a contact sheet needs one label per picture, got {len(frames)} pictures and {len(labels)} labels"
        )
    width = max(round(image.shape[1] * height / image.shape[0]) for image in frames)
    cells = [_cell(image, label, height, width) for image, label in zip(frames, labels, strict=True)]
    columns = min(columns, len(cells))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    done, data = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError("OpenCV could not encode the contact sheet as PNG")
    return data.tobytes()


def _cell(image: np.ndarray, label: str, height: int, width: int) -> np.ndarray:
    cell = np.full((height + 18, width + 4, 3), 255, np.uint8)
    scaled_width = round(image.shape[1] * height / image.shape[0])
    # Small pictures are enlarged without smoothing: what the model sees are these pixels.
    how = cv2.INTER_NEAREST if image.shape[0] < height else cv2.INTER_AREA
    cell[16 : 16 + height, 2 : 2 + scaled_width] = cv2.resize(image, (scaled_width, height), interpolation=how)
    letters = max(4, width // 7)
    cv2.putText(cell, label[:letters], (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
