"""Does a long video stay what it began as: identity, lip-sync and joints of each segment of long puppet videos.

Rows of measurements beside one another: segments joined by motion frames that overlap and dissolve, joined by a hard cut, the same
each by itself (what joining is to beat at the seams, and what it may lose in identity), and the rendered truth (the ceiling).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.colour import ColourError
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.questions.long_segments import (
    MadeSegment,
    Progress,
    at_seams_and_within,
    detail_kept,
    first_and_last,
    lay_out,
    measure_segments,
)
from omnihuman.long_video import OVERLAP, LongVideo
from puppets import Puppet, measure, measure_colours, render
from puppets.render import SIZE
from puppets.speech import SAMPLE_RATE


@dataclass(frozen=True)
class SegmentScore:
    """One segment, over all clips.

    Attributes:
        made, segment, seam_change, inner_change, detail: as of `MadeSegment`.
        colour_error: mean |RGB| in [0, 1] of hair, skin, shirt and wall against the reference picture.
        mouth_correlation: r of the opening in the pixels with the drawn one.
        seam_missing: share of joints not seen in the five frames from the segment's first on, where a dissolve shows two pictures
            at once.
        inner_missing: the same in its other frames.
        motion: mean |change| of a joint's place from frame to frame, in pixels, of joints that are found; NaN where none is.
        unseen: joints of all clips that no frame of the segment shows.
    """

    made: str
    segment: int
    colour_error: float
    mouth_correlation: float
    seam_change: float
    inner_change: float
    seam_missing: float
    inner_missing: float
    detail: float
    motion: float
    unseen: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class SeenSegment:
    """What is seen in one segment of B clips, before it is summed up: enough to sum it up with other clips'.

    Attributes:
        made, segment, seam_change, inner_change, detail: as of `MadeSegment`.
        opening, asked: `(B, T)` of the mouth, in the pixels and as drawn.
        colours: `(B, T, 4, 3)` of hair, skin, shirt and wall.
        reference: `(B, 4, 3)` of the reference pictures.
        joints: `(B, T, 4, 2)` places in pixels, NaN where one is missing.
        missing: `(B, T, 4)` bool.
    """

    made: str
    segment: int
    opening: np.ndarray
    asked: np.ndarray
    colours: np.ndarray
    reference: np.ndarray
    joints: np.ndarray
    missing: np.ndarray
    seam_change: float
    inner_change: float
    detail: float


def measure_drift(
    pipeline: Any,
    clips: int,
    segments: int,
    segment_frames: int,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[SegmentScore]:
    """Make `clips` audio-driven videos of `segments` segments and measure each segment.

    Args:
        pipeline: an `OmniHumanPipeline` of puppets (64x64).
        clips: how many people, made as one batch.
        segments: how many, where they overlap; the rows without overlap have as many as fit into that length.
        segment_frames: 4n+1.
        seed: of the first puppet; it must not have been trained on.
        steps: sampling steps, None for the model's own.
        progress: called with (segments done, segments of all rows, note).

    Raises:
        ValueError: fewer than one clip or segment.
    """
    if clips < 1 or segments < 1:
        raise ValueError(f"drift needs at least one clip and one segment, got {clips} and {segments}")
    joined, people = puppet_video(clips, segments, segment_frames, seed, steps)
    colours = reference_colours(people)
    return measure_segments(
        pipeline, joined, people, lambda segment: score_of([seen_in(segment, people, colours)]), progress
    )


def puppet_video(
    clips: int, segments: int, segment_frames: int, seed: int, steps: int | None
) -> tuple[LongVideo, list[Puppet]]:
    """Of puppets, as `lay_out`."""
    return lay_out(
        lambda one, frames: render(one, frames=frames), clips, segments, segment_frames, SIZE, SAMPLE_RATE, seed, steps
    )


def reference_colours(people: list[Puppet]) -> np.ndarray:
    """`(B, 4, 3)` of their reference pictures."""
    return np.stack([measure_colours(reference_picture(person)[None])[0] for person in people])


def reference_picture(person: Puppet) -> np.ndarray:
    """The last frame, as in the benchmark: the same person in another pose."""
    return person.frames[-1]


def seen_in(segment: MadeSegment, people: list[Puppet], colours: np.ndarray) -> SeenSegment:
    """Look at a segment of some clips; `colours`: `(B, 4, 3)` of their reference pictures."""
    start, pictures = segment.start, segment.pictures
    measured = [measure(clip) for clip in pictures]
    return SeenSegment(
        segment.made,
        segment.segment,
        np.stack([m.opening for m in measured]),
        np.stack([p.opening[start : start + pictures.shape[1]] for p in people]),
        np.stack([m.colours for m in measured]),
        colours,
        np.stack([m.joints for m in measured]),
        np.stack([m.missing for m in measured]),
        segment.seam_change,
        segment.inner_change,
        segment.detail,
    )


def score_of(parts: Sequence[SeenSegment]) -> SegmentScore:
    """One segment over all clips, of as many clips in each part as in any other; a joint's clip is its place in the row of all."""
    opening, asked, seen, colours, joints, missing = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("opening", "asked", "colours", "reference", "joints", "missing")
    )
    every = np.arange(len(opening))
    return SegmentScore(
        parts[0].made,
        parts[0].segment,
        ColourError(seen, colours)(every),
        MouthCorrelation(opening, asked)(every),
        float(np.mean([part.seam_change for part in parts])),
        float(np.mean([part.inner_change for part in parts])),
        float(missing[:, :OVERLAP].mean()),
        float(missing[:, OVERLAP:].mean()),
        float(np.sum([part.detail for part in parts])),
        _motion(joints),
        frozenset((int(clip), int(joint)) for clip, joint in np.argwhere(missing.all(axis=1))),
    )


def _motion(joints: np.ndarray) -> float:
    """Of `(B, T, 4, 2)` places, NaN where a joint is missing."""
    steps = np.linalg.norm(np.diff(joints, axis=1), axis=-1)
    return float(np.nanmean(steps)) if np.isfinite(steps).any() else float("nan")


def latched(rows: list[SegmentScore]) -> int:
    """Joints of one way's videos that go unseen and never come back: in no frame of its last quarter, and seen before."""
    quarter = rows[-max(1, len(rows) // 4) :]
    gone = frozenset.intersection(*(row.unseen for row in quarter))
    return len(gone - frozenset.intersection(*(row.unseen for row in rows)))


def as_markdown(rows: list[SegmentScore]) -> str:
    """One table: of each row the first segment, and the means of the first and of the last quarter."""
    lines = [
        "| made | segments | colour error: first, first quarter, last quarter | mouth r: first, first quarter, last quarter "
        "| largest change at seams / within | joints missing at seams / within | detail, last quarter / first segment | motion, last / first quarter "
        "| joints that never return |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for made in dict.fromkeys(row.made for row in rows):
        own = [row for row in rows if row.made == made]
        quarter = max(1, len(own) // 4)
        colour = first_and_last(np.array([row.colour_error for row in own]))
        mouth = first_and_last(np.array([row.mouth_correlation for row in own]))
        change = at_seams_and_within([row.seam_change for row in own[1:]], [row.inner_change for row in own], 4)
        missing = at_seams_and_within([row.seam_missing for row in own[1:]], [row.inner_missing for row in own], 3)
        detail = detail_kept([row.detail for row in own])
        first, last = (np.nanmean([row.motion for row in part]) for part in (own[:quarter], own[-quarter:]))
        kept = f"{detail:.2f} | {last / first:.2f} | {latched(own)}"
        lines.append(f"| {made} | {len(own)} | {colour} | {mouth} | {change} | {missing} | {kept} |")
    return "\n".join(lines)
