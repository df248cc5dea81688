"""What a person looks at: strips of frames side by side, bars with intervals, a talking video."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.benchmark.benchmark_plan import AUDIO, RECONSTRUCTION, STUDENT, TEACHER, ModelPlan
from evaluation.benchmark.generate import enlarge, load_generated
from evaluation.benchmark.puppet_benchmark import Benchmark
from evaluation.metrics.facts import Gate
from evaluation.metrics.puppet_truth import PuppetMetric
from evaluation.metrics.registry import GATE_METRICS
from media import encode_clip, png_bytes

SHEET_CLIPS = 4
SHEET_FRAMES = 5
WIDE_FRAMES = 4  # where the clips are the columns
SHEET_SCALE = 2
VIDEO_CLIPS = 4
VIDEO_SCALE = 5
LABEL_ROWS = 30
BLUE, RED, PALE = "#345a8a", "#c0504d", "#9db6d3"


def gate_panel_title(kind: type[PuppetMetric], gate: Gate) -> str:
    """Head a panel of one of the gate's metrics, with which way is better."""
    return f"{kind.title}, {gate.mode}\n({'higher' if kind.higher_is_better else 'lower'} is better)"


def draw_interval(axis: Axes, value: float, low: float, high: float, height: float) -> None:
    """A point and its interval across `height`, as wide as to hold the point; the point alone where an end is NaN."""
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([min(low, value), max(high, value)], [height, height], color=PALE, linewidth=2)
    axis.plot([value], [height], "o", color=BLUE, markersize=4)


def contact_sheet(benchmark: Benchmark, generated_root: Path, clips: int = SHEET_CLIPS) -> bytes:
    """PNG: a row per clip; its reference, then five frames each of ground truth, teacher and student (audio mode)."""
    clips = min(clips, len(benchmark))
    times = np.linspace(0, benchmark.frames.shape[1] - 1, SHEET_FRAMES).round().astype(int)
    strips = [
        ("ground truth", benchmark.frames.numpy()),
        ("teacher", load_generated(generated_root / TEACHER / AUDIO, benchmark)[0]),
        ("student, one step", load_generated(generated_root / STUDENT / AUDIO, benchmark)[0]),
    ]
    figure = Figure(figsize=(3 + 4.6 * len(strips), 1.15 * clips + 0.9), dpi=110, layout="constrained")
    axes = figure.subplots(clips, 1 + len(strips), squeeze=False, width_ratios=[1] + [SHEET_FRAMES] * len(strips))
    for row in range(clips):
        pictures = [benchmark.reference[row].numpy()] + [np.concatenate(list(v[row, times]), axis=1) for _, v in strips]
        for axis, picture in zip(axes[row], pictures, strict=True):
            axis.imshow(enlarge(picture, SHEET_SCALE), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row, 0].set_ylabel(benchmark.names[row], fontsize=8)
    for axis, title in zip(axes[0], ["reference", *(title for title, _ in strips)], strict=True):
        axis.set_title(title, fontsize=11)
    for axis in axes[-1, 1:]:
        axis.set_xlabel("frames " + ", ".join(map(str, times)), fontsize=8)
    return png_bytes(figure)


def models_sheet(benchmark: Benchmark, videos: Mapping[str, Path], clips: int = SHEET_CLIPS) -> bytes:
    """PNG: a row per model (audio mode) below the ground truth, the same clips in the columns.

    Args:
        benchmark: the truth and the references.
        videos: folder of a model's generated videos, by its title.
        clips: columns at most.
    """
    clips = min(clips, len(benchmark))
    times = np.linspace(0, benchmark.frames.shape[1] - 1, WIDE_FRAMES).round().astype(int)
    strips = {
        "ground truth": benchmark.frames.numpy(),
        **{title: load_generated(folder, benchmark)[0] for title, folder in videos.items()},
    }
    figure = Figure(figsize=(2.5 + 4.1 * clips, 0.7 + 1.15 * len(strips)), dpi=110, layout="constrained")
    axes = figure.subplots(len(strips), clips, squeeze=False)
    for line, (title, frames) in zip(axes, strips.items(), strict=True):
        for clip, axis in enumerate(line):
            axis.imshow(
                enlarge(np.concatenate(list(frames[clip, times]), axis=1), SHEET_SCALE), interpolation="nearest"
            )
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(title, fontsize=8, rotation=0, ha="right", va="center")
    for clip, axis in enumerate(axes[0]):
        axis.set_title(benchmark.names[clip], fontsize=10)
    figure.supxlabel("frames " + ", ".join(map(str, times)) + " of each clip", fontsize=9)
    return png_bytes(figure)


def score_bars(scores: pd.DataFrame, plan: Sequence[ModelPlan]) -> bytes:
    """PNG: bar charts of the gate's metrics over the models, with 95 % intervals and the reconstruction as a line."""
    figure = Figure(figsize=(3.25 * len(GATE_METRICS), 4.2), dpi=110, layout="constrained")
    axes = figure.subplots(1, len(GATE_METRICS), squeeze=False)[0]
    for axis, (kind, gate) in zip(axes, GATE_METRICS.items(), strict=True):
        rows = scores[(scores["metric"] == kind.name) & (scores["mode"] == gate.mode)].set_index("model")
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
        axis.set_title(gate_panel_title(kind, gate), fontsize=10)
    return png_bytes(figure)


def talking_video(benchmark: Benchmark, generated_root: Path, model: str = STUDENT, clips: int = VIDEO_CLIPS) -> bytes:
    """mp4 with sound: clips one after another, the reference left, what the model made of it and the sound right."""
    generated, _ = load_generated(generated_root / model / AUDIO, benchmark)
    clips = min(clips, len(generated))
    pictures, sounds = [], []
    for clip in range(clips):
        still = np.repeat(benchmark.reference[clip].numpy()[None], generated.shape[1], axis=0)
        pair = enlarge(np.concatenate([still, generated[clip]], axis=2), VIDEO_SCALE)
        pictures.append(_labelled(pair, ("reference", model.replace("_", " "))))
        sounds.append(benchmark.audio[clip].numpy())
    return encode_clip(
        np.concatenate(pictures),
        benchmark.fps,
        np.concatenate(sounds),
        benchmark.sample_rate,
        crf=18,
        pixel_format="yuv420p",
    )


def _labelled(frames: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """`(T, H, W, 3)` to `(T, H + 30, W, 3)`: a dark band on top with one title per equal part of the width."""
    band = np.full((LABEL_ROWS, frames.shape[2], 3), 24, np.uint8)
    part = frames.shape[2] // len(titles)
    for index, title in enumerate(titles):
        place = (index * part + 8, LABEL_ROWS - 9)
        cv2.putText(band, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235, 235, 235), 1, cv2.LINE_AA)
    return np.concatenate([np.repeat(band[None], len(frames), axis=0), frames], axis=1)
