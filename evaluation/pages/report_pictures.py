"""Pictures of an evaluation's page: cost against quality, slices, and one sample with everything it was made from."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import RECONSTRUCTION, ModelPlan
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.pages.pictures import (
    BLUE,
    RED,
    draw_interval,
    panel_axes,
    panel_size,
    panel_title,
    panels_of,
    show_picture,
    strip,
)
from evaluation.scoring.score_table import find_score, score_of
from media import png_bytes
from media.hiding import Hide, as_it_is

FRAMES = 8
AUDIO_TITLE, POSE_TITLE = "audio: caption, reference, sound", "pose: keypoints too"


def cost_against_quality(scores: pd.DataFrame, plan: Sequence[ModelPlan]) -> bytes:
    """PNG: a panel per metric that opens tables; across, seconds of generating one second (audio mode); the ceiling as a line."""
    panels = panels_of(scores)
    figure = Figure(figsize=panel_size(len(panels), 3.8), dpi=110, layout="constrained")
    for axis, (kind, reading) in zip(panel_axes(figure, len(panels)), panels, strict=True):
        for number, model in enumerate(plan):
            score = find_score(scores, model.name, reading.mode, kind.name)
            cost = score_of(scores, model.name, reading.mode, "generation_seconds")
            if score is None or not np.isfinite([cost, score.value]).all():
                continue
            below, above = (
                max(0.0, float(d)) if np.isfinite(d) else 0.0
                for d in (score.value - score.ci_low, score.ci_high - score.value)
            )
            mark: dict[str, Any] = {"fmt": "osD^vP*X"[number % 8], "color": f"C{number}", "label": model.title}
            axis.errorbar([cost], [score.value], yerr=[[below], [above]], capsize=3, **mark)
        ceiling = scores[(scores["model"] == RECONSTRUCTION) & (scores["metric"] == kind.name)]["value"]
        if len(ceiling):
            axis.axhline(float(ceiling.iloc[0]), color=RED, linewidth=1, linestyle="--", label="reconstruction")
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:.2g}")
        axis.margins(x=0.2)
        axis.set_title(panel_title(kind, reading), fontsize=10)
        axis.set_xlabel("seconds for one second of video", fontsize=8)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=len(labels))
    return png_bytes(figure)


def slices_plot(slices: pd.DataFrame, scores: pd.DataFrame, limits: Mapping[str, float]) -> bytes:
    """PNG: a panel per metric; each slice's value with its 95 % interval, the whole benchmark's, and the gate's limit.

    Args:
        slices: of one model.
        scores: holds the whole benchmark's values.
        limits: the gate's threshold by metric.
    """
    panels = list(slices.groupby(["metric", "mode"], sort=False))
    names = list(dict.fromkeys(slices["slice"]))
    figure = Figure(figsize=(3.6 * len(panels), 1.2 + 0.33 * len(names)), dpi=110, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, ((metric, mode), rows) in zip(axes, panels, strict=True):
        for row in rows.to_dict("records"):
            draw_interval(axis, row["value"], row["ci_low"], row["ci_high"], names.index(row["slice"]))
        axis.axvline(
            score_of(scores, str(rows["model"].iloc[0]), mode, metric),
            color=BLUE,
            linewidth=1,
            linestyle=":",
            label="whole",
        )
        if metric in limits:
            axis.axvline(limits[metric], color=RED, linewidth=1, linestyle="--", label="gate")
        axis.legend(fontsize=7)
        axis.set_title(f"{metric}, {mode}", fontsize=9)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    return png_bytes(figure)


def sample_picture(benchmark: Benchmark, clip: int, made: Mapping[str, np.ndarray], hide: Hide = as_it_is) -> bytes:
    """PNG of one sample: its reference, its sound (of a puppet with the true mouth opening), and strips of the truth and of what was made.

    Args:
        benchmark: conditions and truth.
        clip: index in it.
        made: `(T, H, W, 3)` uint8 frames of this sample by title.
        hide: what every picture goes through.
    """
    sample = benchmark.sample(clip)
    strips = {"ground truth": sample.frames.numpy(), **made}
    figure = Figure(figsize=(12, 1.3 + 1.35 * len(strips)), dpi=90, layout="constrained")
    grid = figure.add_gridspec(1 + len(strips), 2, width_ratios=[1, FRAMES])
    reference = figure.add_subplot(grid[1:, 0])
    show_picture(reference, hide(sample.reference.numpy()))
    reference.set_title("reference", fontsize=9)
    sound = figure.add_subplot(grid[0, 1])
    _sound(sound, benchmark, clip)
    for place, (title, frames) in enumerate(strips.items(), start=1):
        axis = figure.add_subplot(grid[place, 1])
        show_picture(axis, strip(frames, FRAMES, hide))
        axis.set_title(title, fontsize=9, loc="left")
    return png_bytes(figure)


def strips_picture(strips: Mapping[str, np.ndarray], height: int = 96, hide: Hide = as_it_is) -> bytes:
    """PNG: a row of frames spread over each clip `(T, H, W, 3)` uint8, by title; each goes through `hide` at its own size."""
    figure = Figure(figsize=(12, 0.3 + 1.5 * len(strips)), dpi=90, layout="constrained")
    for axis, (title, frames) in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips.items(), strict=True):
        times = np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)
        width = max(1, round(frames.shape[2] * height / frames.shape[1]))
        axis.imshow(
            np.concatenate(
                [cv2.resize(hide(frames[t]), (width, height), interpolation=cv2.INTER_AREA) for t in times], axis=1
            )
        )
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_axis_off()
    return png_bytes(figure)


def _sound(axis: Axes, benchmark: Benchmark, clip: int) -> None:
    sound = benchmark.sample(clip).audio
    if sound is None:
        axis.set_axis_off()
        axis.set_title("no sound", fontsize=9, loc="left")
        return
    wave = sound.numpy()
    seconds = len(wave) / benchmark.sample_rate
    axis.plot(np.linspace(0, seconds, len(wave)), wave, linewidth=0.4, color="#888888")
    title = "sound"
    if isinstance(benchmark, PuppetBenchmark):
        opening, title = benchmark.opening[clip].numpy(), "sound, and the true opening of the mouth (red)"
        axis.twinx().plot((np.arange(len(opening)) + 0.5) / benchmark.fps, opening, color=RED, linewidth=1.2)
    axis.set_xlim(0, seconds)
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
    axis.set_title(title, fontsize=9, loc="left")
