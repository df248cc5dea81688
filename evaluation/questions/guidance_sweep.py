"""Does guidance trade lip-sync against artefacts, as OmniHuman-1 section 3.4 says: scales and annealings of the teacher on puppets.

The paper: a high scale wrinkles faces, a low one weakens lip-sync and expression, hence a scale that falls over the steps. Here
lip-sync is the mouth's correlation, and artefacts would show as lost joints, colours that leave the reference's, and detail that the
truth does not have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.colour import ColourError
from evaluation.metrics.joints import MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.sharpness import HighFrequencyRatio
from media import png_bytes
from omnihuman.guidance import Annealing, OmniHumanGuidance
from puppets import measure, measure_colours

Progress = Callable[[int, int, str], None]
SCALES = (1.0, 2.0, 3.5, 5.0, 6.5, 9.0)
# The default falls from 6.5 to 3.5: of what a scale is above 1, this share is left at the last step.
LEFT = (3.5 - 1.0) / (6.5 - 1.0)
TEXT_ALONE, AUDIO_ALONE = "text alone", "audio alone"
PANELS = {
    "mouth_correlation": MouthCorrelation.title,
    "missing_joints": MissingJoints.title,
    "colour_error": ColourError.title,
    "detail": HighFrequencyRatio.title,
}


@dataclass(frozen=True)
class GuidanceRow:
    """One way of guiding, over all clips, audio-driven.

    Attributes:
        annealing: as in `annealed_scale`, "none" at scale 1, or which condition alone is guided, constantly.
        scale, scale_end: on what is guided, at the first and last step.
        mouth_correlation: r with the drawn opening.
        missing_joints: share of drawn joints that are not found.
        colour_error: mean |RGB| against the reference picture.
        detail: high-frequency energy over the truth's; 1 is as sharp, more is ringing or noise.
    """

    annealing: str
    scale: float
    scale_end: float
    mouth_correlation: float
    missing_joints: float
    colour_error: float
    detail: float


def sweep_guidance(
    pipeline: Any,
    benchmark: PuppetBenchmark,
    clips: int,
    steps: int | None,
    seed: int,
    batch_size: int = 16,
    scales: Sequence[float] = SCALES,
    apart: bool = False,
    progress: Progress | None = None,
) -> list[GuidanceRow]:
    """Sample the first `clips` clips under every annealing and scale, all from the same noise.

    Args:
        pipeline: a teacher; a one-step student refuses guidance.
        benchmark: puppets.
        clips: at most so many.
        steps: sampling steps, None for the model's own.
        seed: of the first clip's noise.
        batch_size: clips at a time.
        scales: at the first step.
        apart: instead of annealings, constant scales on text alone and on audio alone.
        progress: called with (rows done, rows, note).
    """
    guided = _apart(scales) if apart else _jointly(scales)
    plan: list[tuple[str, OmniHumanGuidance | None]] = [*([("none", None)] if 1.0 in scales else []), *guided]
    rows, count = [], min(clips, len(benchmark))
    for done, (way, guidance) in enumerate(plan, start=1):
        frames = _sample(pipeline, benchmark, count, steps, seed, batch_size, guidance)
        scale, end = _scales(guidance)
        rows.append(_row(way, scale, end, frames, benchmark, count))
        if progress is not None:
            progress(done, len(plan), f"{way} {scale:g}")
    return rows


def _jointly(scales: Sequence[float]) -> list[tuple[str, OmniHumanGuidance | None]]:
    ways = [(way, scale) for way in get_args(Annealing) for scale in scales if scale != 1.0]
    return [
        (way, OmniHumanGuidance.joint(scale, scale if way == "constant" else 1 + LEFT * (scale - 1), way))
        for way, scale in ways
    ]


def _apart(scales: Sequence[float]) -> list[tuple[str, OmniHumanGuidance | None]]:
    text = [(TEXT_ALONE, OmniHumanGuidance(scale, scale, 1.0, 1.0, "constant")) for scale in scales if scale != 1.0]
    return [
        *text,
        *((AUDIO_ALONE, OmniHumanGuidance(1.0, 1.0, scale, scale, "constant")) for scale in scales if scale != 1.0),
    ]


def _scales(guidance: OmniHumanGuidance | None) -> tuple[float, float]:
    if guidance is None:
        return 1.0, 1.0
    # Where they differ, one of them is 1.
    return max(guidance.text_scale, guidance.audio_scale), max(guidance.text_scale_end, guidance.audio_scale_end)


def _sample(
    pipeline: Any,
    benchmark: PuppetBenchmark,
    count: int,
    steps: int | None,
    seed: int,
    batch_size: int,
    guidance: OmniHumanGuidance | None,
) -> np.ndarray:
    """`(count, T, H, W, 3)` uint8."""
    made: list[Tensor] = []
    for start in range(0, count, batch_size):
        rows = torch.arange(start, min(start + batch_size, count))
        output = pipeline(
            prompt=[benchmark.captions[i] for i in rows],
            image=benchmark.reference[rows],
            audio=benchmark.audio[rows],
            num_frames=benchmark.frames.shape[1],
            num_inference_steps=steps,
            guidance=guidance,
            guidance_scale=1.0 if guidance is None else None,
            generator=[torch.Generator().manual_seed(seed + int(i)) for i in rows],
        )
        made.append(torch.as_tensor(output.frames).cpu())
    return torch.cat(made).numpy()


def _row(
    annealing: str, scale: float, end: float, frames: np.ndarray, benchmark: PuppetBenchmark, count: int
) -> GuidanceRow:
    every, measured = np.arange(count), [measure(clip) for clip in frames]
    reference = np.stack([measure_colours(image[None])[0] for image in benchmark.reference[:count].numpy()])
    return GuidanceRow(
        annealing,
        scale,
        end,
        MouthCorrelation(np.stack([m.opening for m in measured]), benchmark.opening[:count].numpy())(every),
        MissingJoints(np.stack([m.missing for m in measured]), benchmark.joints[:count].numpy())(every),
        ColourError(np.stack([m.colours for m in measured]), reference)(every),
        HighFrequencyRatio.of_videos(frames, benchmark.frames[:count].numpy())(every),
    )


def as_markdown(rows: Sequence[GuidanceRow]) -> str:
    """One table."""
    lines = [
        f"| annealing | scale, first to last step | {' | '.join(PANELS.values())} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        scale = f"{row.scale:g}" if row.scale == row.scale_end else f"{row.scale:g} to {row.scale_end:.1f}"
        lines.append(
            f"| {row.annealing} | {scale} | {row.mouth_correlation:.3f} | {row.missing_joints:.3f} | {row.colour_error:.4f} | {row.detail:.2f} |"
        )
    return "\n".join(lines)


def draw(rows: Sequence[GuidanceRow]) -> bytes:
    """PNG: a panel for each number, a line for each annealing or guided condition, over the scale at the first step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3), layout="constrained")
    plain, ways = (
        [row for row in rows if row.annealing == "none"],
        list(dict.fromkeys(row.annealing for row in rows if row.annealing != "none")),
    )
    for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for annealing in ways:
            own = plain + [row for row in rows if row.annealing == annealing]
            axes.plot(
                [row.scale for row in own],
                [getattr(row, name) for row in own],
                marker="o",
                markersize=3,
                label=annealing,
            )
        axes.set(title=title, xlabel="scale at the first step")
    axes.legend(frameon=False)
    return png_bytes(figure)
