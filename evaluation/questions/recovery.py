"""How long a video stays spoiled: one part's past is made soft or put into wrong colours, and what follows is held against the same video unspoiled.

A segment path goes on from the spoiled motion frames and overlap, a streaming student from the spoiled latent; what its memory holds of earlier
latents stays as it was. Sound, noise and person are the same on both sides, so what differs comes from the spoiled past alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evaluation.metrics.sharpness import high_frequency_energy
from evaluation.questions.long_video_drift import puppet_video
from omnihuman.autoencoder import encode_video, to_pixels
from omnihuman.long_video import MOTION_FRAMES, Handover, LongVideo, generate_segments
from omnihuman.streaming.stream import TalkingStream, resampled, stream_video

CLOSE = 0.02  # of the unspoiled video: the detail may be lower by this share
COLOURS = 2 / 255  # and the mean colour of the picture other by this much


def soft(pixels: Tensor) -> Tensor:
    """`(B, 3, T, H, W)` at a quarter of its detail's size."""
    small = functional.avg_pool3d(pixels, (1, 4, 4))
    return functional.interpolate(small, scale_factor=(1, 4, 4), mode="trilinear")


def tinted(pixels: Tensor) -> Tensor:
    """With its colours exchanged: what was red is green."""
    return pixels.roll(1, dims=1)


SPOILS: dict[str, Callable[[Tensor], Tensor]] = {"soft": soft, "wrong colours": tinted}


@dataclass(frozen=True)
class RecoveryRow:
    """One way to spoil.

    Attributes:
        spoiled: how.
        detail: of each segment after it, as a share of the unspoiled video's.
        colour: mean distance of the picture's mean colour from the unspoiled video's, of each segment.
        segments: how many segments it took until both were close for good; None where they were not within those that were made.
    """

    spoiled: str
    detail: tuple[float, ...]
    colour: tuple[float, ...]
    segments: int | None


def measure_recovery(
    pipeline: Any, clips: int, segment_frames: int, seed: int, before: int = 3, after: int = 6
) -> list[RecoveryRow]:
    """Make puppet videos of `before + after` segments, once as they are and once for each way to spoil them.

    Args:
        pipeline: an `OmniHumanPipeline` of puppets.
        clips: how many people, as one batch.
        segment_frames: 4n+1.
        seed: of the first puppet.
        before: segments until the past is spoiled.
        after: segments that are looked at.
    """
    video, _ = puppet_video(clips, before + after, segment_frames, seed, None)
    make = _streamed if pipeline.config.get("streaming") else _segments
    whole = make(pipeline, video, before, None)
    rows = []
    for name, spoil in SPOILS.items():
        made = make(pipeline, video, before, spoil)
        detail = tuple(
            float(high_frequency_energy(one).sum() / high_frequency_energy(other).sum())
            for one, other in zip(made, whole, strict=True)
        )
        colour = tuple(_colour_distance(one, other) for one, other in zip(made, whole, strict=True))
        rows.append(RecoveryRow(name, detail, colour, _recovered(detail, colour)))
    return rows


def _recovered(detail: Sequence[float], colour: Sequence[float]) -> int | None:
    away = [i for i, (d, c) in enumerate(zip(detail, colour, strict=True)) if abs(d - 1) > CLOSE or c > COLOURS]
    took = max(away, default=-1) + 1
    return None if took == len(detail) else took


def _colour_distance(one: np.ndarray, other: np.ndarray) -> float:
    means = [part.astype(np.float32).mean(axis=(1, 2, 3)) / 255.0 for part in (one, other)]
    return float(np.abs(means[0] - means[1]).mean())


def _segments(
    pipeline: Any, video: LongVideo, before: int, spoil: Callable[[Tensor], Tensor] | None
) -> list[np.ndarray]:
    """Frames of the segments after the spoiled joint."""
    made, handover = [], None
    for segment in generate_segments(pipeline, video):
        if segment.index < before:
            handover, frames = segment.handover, segment.frames
            if segment.index == before - 1 and spoil is not None:
                break
        else:
            made.append(segment.frames.cpu().numpy())
    if spoil is None:
        return made
    assert handover is not None
    past = encode_video(pipeline.vae, spoil(to_pixels(frames[:, -MOTION_FRAMES:])))
    spoiled = Handover(past, spoil(handover.overlap.float()))
    return [segment.frames.cpu().numpy() for segment in generate_segments(pipeline, video, before, spoiled)]


def _streamed(
    pipeline: Any, video: LongVideo, before: int, spoil: Callable[[Tensor], Tensor] | None
) -> list[np.ndarray]:
    """The same parts of a stream, whose last latent before them is spoiled."""
    generators = [torch.Generator().manual_seed(seed) for seed in video.seeds]
    stream = TalkingStream(pipeline, video.reference, video.prompts, generators, video.height, video.width)
    assert video.audio is not None
    start = video.span(before)[0]
    frames: list[Tensor] = []
    for latent in stream_video(stream, resampled(video.audio, video.sample_rate), video.frames):
        frames.append(stream.decode(latent).cpu())
        if spoil is not None and stream.frames - start in range(-3, 1):
            shown = torch.cat(frames, dim=1)[:, -MOTION_FRAMES:]
            stream.last = encode_video(pipeline.vae, spoil(to_pixels(shown)))[:, :, -1:].float()
    whole = torch.cat(frames, dim=1)[:, : video.frames].numpy()
    return [whole[:, slice(*video.span(index))] for index in range(before, video.segments)]


def as_markdown(rows: Sequence[RecoveryRow]) -> str:
    """A line for each way to spoil."""
    lines = [
        "| past is | detail of the segments after, against unspoiled | their colour's distance, of 255 | segments to return |",
        "| --- | --- | --- | ---: |",
    ]
    for row in rows:
        detail, colour = (
            ", ".join(f"{value:{form}}" for value in values)
            for values, form in ((row.detail, ".2f"), ([255 * c for c in row.colour], ".1f"))
        )
        took = "not within them" if row.segments is None else str(row.segments)
        lines.append(f"| {row.spoiled} | {detail} | {colour} | {took} |")
    return "\n".join(lines)
