"""What a person looks at: strips of frames side by side, bars with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, RECONSTRUCTION, STUDENT, TEACHER, ModelPlan
from evaluation.benchmark.generate import enlarge
from evaluation.benchmark.generated import open_generated
from evaluation.metrics.facts import MetricFacts, Reading
from evaluation.metrics.registry import READINGS
from evaluation.scoring.comparison_columns import shown_in
from media import png_bytes
from media.hiding import Hide, as_it_is

SHEET_CLIPS = 4
SHEET_FRAMES = 5
WIDE_FRAMES = 4  # where the clips are the columns
SHEET_HEIGHT = 128  # smaller pictures are enlarged to about this
BLUE, RED, PALE = "#345a8a", "#c0504d", "#9db6d3"


def panels_of(scores: pd.DataFrame) -> list[tuple[type[MetricFacts], Reading]]:
    """The metrics that open tables and have a best side, as far as this benchmark's table has them, with the mode that they are shown in."""
    there = set(zip(scores["metric"], scores["mode"], strict=True))
    shown = [(kind, replace(reading, mode=shown_in(scores, reading))) for kind, reading in READINGS.items()]
    return [(kind, reading) for kind, reading in shown if (kind.name, reading.mode) in there]


def panel_title(kind: type[MetricFacts], reading: Reading) -> str:
    """Head a panel of one metric, with which way is better."""
    return f"{kind.title}, {reading.mode}\n({'higher' if kind.higher_is_better else 'lower'} is better)"


def panel_axes(figure: Figure, panels: int, columns: int = 5) -> list[Axes]:
    """Axes of so many panels, a few in a row; what is left over is empty."""
    rows = -(-panels // columns)
    axes = list(figure.subplots(rows, min(columns, panels), squeeze=False).ravel())
    for axis in axes[panels:]:
        axis.set_axis_off()
    return axes[:panels]


def panel_size(panels: int, height: float, columns: int = 5) -> tuple[float, float]:
    """Inches of a figure of so many panels."""
    return 3.25 * min(columns, panels), height * -(-panels // columns)


def draw_interval(axis: Axes, value: float, low: float, high: float, height: float) -> None:
    """A point and its interval across `height`, as wide as to hold the point; the point alone where an end is NaN."""
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([min(low, value), max(high, value)], [height, height], color=PALE, linewidth=2)
    axis.plot([value], [height], "o", color=BLUE, markersize=4)


def contact_sheet(
    benchmark: Benchmark, generated_root: Path, clips: int = SHEET_CLIPS, mode: str = AUDIO, hide: Hide = as_it_is
) -> bytes:
    """PNG: a row per clip; its reference, then five frames each of ground truth, teacher and student."""
    made = [
        (title, open_generated(generated_root / model / mode, benchmark))
        for title, model in (("teacher", TEACHER), ("student, one step", STUDENT))
    ]
    shown = benchmark.driven_by(mode)[:clips]
    titles = ["ground truth", *(title for title, _ in made)]
    figure = Figure(figsize=(3 + 4.6 * len(titles), 1.15 * len(shown) + 0.9), dpi=110, layout="constrained")
    axes = figure.subplots(len(shown), 1 + len(titles), squeeze=False, width_ratios=[1] + [SHEET_FRAMES] * len(titles))
    for line, clip in zip(axes, shown, strict=True):
        sample = benchmark.sample(clip)
        videos = [sample.frames.numpy(), *(generated.frames(sample.name) for _, generated in made)]
        pictures = [hide(sample.reference.numpy()), *(strip(video, SHEET_FRAMES, hide) for video in videos)]
        for axis, picture in zip(line, pictures, strict=True):
            show_picture(axis, picture)
        line[0].set_ylabel(sample.name, fontsize=8)
    for axis, title in zip(axes[0], ["reference", *titles], strict=True):
        axis.set_title(title, fontsize=11)
    return png_bytes(figure)


def models_sheet(
    benchmark: Benchmark, videos: Mapping[str, Path], clips: int = SHEET_CLIPS, hide: Hide = as_it_is
) -> bytes:
    """PNG: a row per model below the ground truth, the same clips in the columns.

    Args:
        benchmark: the truth and the references.
        videos: folder of a model's generated videos, by its title; all of one mode.
        clips: columns at most.
        hide: what every picture goes through.
    """
    made = {title: open_generated(folder, benchmark) for title, folder in videos.items()}
    shown = next(iter(made.values())).names[:clips]
    figure = Figure(figsize=(2.5 + 4.1 * len(shown), 0.7 + 1.15 * (1 + len(made))), dpi=110, layout="constrained")
    axes = figure.subplots(1 + len(made), len(shown), squeeze=False)
    for column, name in enumerate(shown):
        truth = benchmark.sample(benchmark.names.index(name)).frames.numpy()
        for line, video in zip(axes, [truth, *(generated.frames(name) for generated in made.values())], strict=True):
            show_picture(line[column], strip(video, WIDE_FRAMES, hide))
        axes[0, column].set_title(name, fontsize=10)
    for line, title in zip(axes, ["ground truth", *made], strict=True):
        line[0].set_ylabel(title, fontsize=8, rotation=0, ha="right", va="center")
    figure.supxlabel("frames spread over each clip", fontsize=9)
    return png_bytes(figure)


def strip(frames: np.ndarray, count: int, hide: Hide = as_it_is) -> np.ndarray:
    """`(H, count*W, 3)`: frames spread evenly over a clip `(T, H, W, 3)`."""
    times = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.concatenate([hide(frames[time]) for time in times], axis=1)


def show_picture(axis: Axes, picture: np.ndarray) -> None:
    """A picture as it is, small ones by whole pixels, without ticks."""
    scale = max(1, SHEET_HEIGHT // len(picture))
    axis.imshow(enlarge(picture, scale), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])


def score_bars(scores: pd.DataFrame, plan: Sequence[ModelPlan]) -> bytes:
    """PNG: bar charts of the metrics that open tables over the models, with 95 % intervals and the reconstruction as a line."""
    panels = panels_of(scores)
    figure = Figure(figsize=panel_size(len(panels), 4.2), dpi=110, layout="constrained")
    for axis, (kind, reading) in zip(panel_axes(figure, len(panels)), panels, strict=True):
        rows = scores[(scores["metric"] == kind.name) & (scores["mode"] == reading.mode)].set_index("model")
        models = [model for model in plan if model.name in rows.index]
        chosen = rows.loc[[model.name for model in models]]
        # A percentile interval need not contain the value itself; matplotlib takes no negative bar.
        below = (chosen["value"] - chosen["ci_low"]).clip(lower=0)
        above = (chosen["ci_high"] - chosen["value"]).clip(lower=0)
        places = np.arange(len(models))
        axis.bar(places, chosen["value"], yerr=np.stack([below, above]), capsize=3, color="#5b84b1")
        axis.set_xticks(places, [model.title for model in models], rotation=30, ha="right", fontsize=8)
        ceiling = scores[(scores["model"] == RECONSTRUCTION) & (scores["metric"] == kind.name)]["value"]
        if len(ceiling):
            axis.axhline(float(ceiling.iloc[0]), color=RED, linewidth=1, linestyle="--", label="reconstruction")
            axis.legend(fontsize=7)
        # Bars are read by their length, so the axis starts at zero also where every value is zero.
        axis.set_ylim(bottom=min(0.0, float(np.nan_to_num(chosen["ci_low"]).min(initial=0.0))))
        axis.set_title(panel_title(kind, reading), fontsize=10)
    return png_bytes(figure)
