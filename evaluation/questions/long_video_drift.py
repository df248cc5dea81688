"""Does a long video stay what it began as: identity, lip-sync and joints of each segment of long puppet videos.

Rows of measurements beside one another: segments joined by motion frames that overlap and dissolve, joined by a hard cut, the same
each by itself (what joining is to beat at the seams, and what it may lose in identity), and the rendered truth (the ceiling).
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evaluation.metrics.colour import ColourError
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.sharpness import high_frequency_energy
from omnihuman.long_video import OVERLAP, LongVideo, generate_segments
from puppets import Puppet, measure, measure_colours, render
from puppets.render import SIZE
from puppets.speech import SAMPLE_RATE

Progress = Callable[[int, int, str], None]
JOINED, CUT, ALONE, TRUTH, STREAM = "joined, dissolved", "joined, cut", "each alone", "rendered truth", "streamed"
# Steps from frame to frame over which a seam is looked at: a dissolve of 5 frames takes as many.
SEAM = OVERLAP + 1


@dataclass(frozen=True)
class SegmentScore:
    """One segment, over all clips.

    Attributes:
        made: `JOINED`, `CUT`, `ALONE` or `TRUTH`.
        segment: from 0.
        colour_error: mean |RGB| in [0, 1] of hair, skin, shirt and wall against the reference picture.
        mouth_correlation: r of the opening in the pixels with the drawn one.
        seam_change: largest change from a frame to the next, mean |RGB| in [0, 1], over the six steps that begin at the last frame
            of the segment before; mean over the clips. NaN for segment 0.
        inner_change: the same over the segment's last six steps.
        seam_missing: share of joints not seen in the five frames from the segment's first on, where a dissolve shows two pictures
            at once.
        inner_missing: the same in its other frames.
        detail: energy above half of Nyquist, summed over the clips; what is read is its share of the first segment's.
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
    videos = ways_of_making(pipeline, joined)
    total, done = sum(video.segments for video in videos.values()), 0
    rows: list[SegmentScore] = []
    for made, video in videos.items():
        scoring = _Scoring(made, people)
        for segment in generate_segments(pipeline, video):
            rows.append(scoring.score(segment.start, segment.frames.cpu().numpy()))
            done += 1
            if progress is not None:
                progress(done, total, made)
    truth = _Scoring(TRUTH, people)
    for start, stop in (joined.span(index) for index in range(joined.segments)):
        rows.append(truth.score(start, np.stack([p.frames[start:stop] for p in people])))
    return rows


def ways_of_making(pipeline: Any, joined: LongVideo) -> dict[str, LongVideo]:
    """The same long video joined as it is made, by a hard cut, and of segments that know nothing of one another."""
    if pipeline.config.get("streaming"):  # which has no joints to be made in one way or another
        return {STREAM: joined}
    cut = dataclasses.replace(joined, overlap=0, frames=joined.frames // joined.segment_frames * joined.segment_frames)
    return {JOINED: joined, CUT: cut, ALONE: dataclasses.replace(cut, joined=False)}


def puppet_video(
    clips: int, segments: int, segment_frames: int, seed: int, steps: int | None
) -> tuple[LongVideo, list[Puppet]]:
    """Audio-driven, of as many overlapping segments, and the people in it, rendered to its end or beyond."""
    empty = LongVideo(
        prompts=[""] * clips,
        reference=None,
        audio=None,
        tracks={},
        frames=segment_frames,
        segment_frames=segment_frames,
        seeds=[seed + i for i in range(clips)],
        height=SIZE,
        width=SIZE,
        steps=steps,
        sample_rate=SAMPLE_RATE,
    )
    frames = segment_frames + (segments - 1) * (segment_frames - empty.shared)
    people = [render(seed + i, frames=frames + (1 - frames) % 4) for i in range(clips)]
    video = dataclasses.replace(
        empty,
        frames=frames,
        prompts=[p.caption for p in people],
        reference=torch.from_numpy(np.stack([reference_picture(p) for p in people])),
        audio=torch.from_numpy(np.stack([p.audio for p in people if p.audio is not None])),
    )
    return video, people


def segments_of(seconds: float, segment_frames: int, fps: float) -> int:
    """How many overlapping segments a video of so many seconds has."""
    return max(1, 1 + math.ceil((seconds * fps - segment_frames) / (segment_frames - OVERLAP)))


def reference_picture(person: Puppet) -> np.ndarray:
    """The last frame, as in the benchmark: the same person in another pose."""
    return person.frames[-1]


class _Scoring:
    """Keeps the last frames of the segment before, and nothing else."""

    def __init__(self, made: str, people: list[Puppet]):
        self.made, self.people, self.index = made, people, -1
        self.reference = np.stack([measure_colours(reference_picture(p)[None])[0] for p in people])
        self.before: np.ndarray | None = None

    def score(self, start: int, pictures: np.ndarray) -> SegmentScore:
        every, self.index = np.arange(len(pictures)), self.index + 1
        measured = [measure(clip) for clip in pictures]
        asked = np.stack([p.opening[start : start + pictures.shape[1]] for p in self.people])
        missing = np.stack([m.missing for m in measured])
        seam = float("nan")
        if self.before is not None:
            seam = largest_change(np.concatenate([self.before, pictures[:, :SEAM]], axis=1))
        self.before = pictures[:, -1:]
        return SegmentScore(
            self.made,
            self.index,
            ColourError(np.stack([m.colours for m in measured]), self.reference)(every),
            MouthCorrelation(np.stack([m.opening for m in measured]), asked)(every),
            seam,
            largest_change(pictures[:, -SEAM - 1 :]),
            float(missing[:, :OVERLAP].mean()),
            float(missing[:, OVERLAP:].mean()),
            float(high_frequency_energy(pictures).sum()),
            _motion(np.stack([m.joints for m in measured])),
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


def largest_change(pictures: np.ndarray) -> float:
    """Over the frames of each clip of `(B, T, H, W, 3)` uint8, mean over the clips."""
    values = pictures.astype(np.float32) / 255.0
    return float(np.abs(np.diff(values, axis=1)).mean(axis=(2, 3, 4)).max(axis=1).mean())


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
        detail = np.mean([row.detail for row in own[-quarter:]]) / own[0].detail
        first, last = (np.nanmean([row.motion for row in part]) for part in (own[:quarter], own[-quarter:]))
        kept = f"{detail:.2f} | {last / first:.2f} | {latched(own)}"
        lines.append(f"| {made} | {len(own)} | {colour} | {mouth} | {change} | {missing} | {kept} |")
    return "\n".join(lines)


def first_and_last(values: np.ndarray) -> str:
    """Of `(S,)` numbers the first, and the means of the first and of the last quarter; NaN where none of a quarter is defined."""
    quarter = max(1, len(values) // 4)
    means = (mean_of_defined(values[:quarter]), mean_of_defined(values[-quarter:]))
    return ", ".join(f"{value:.3f}" for value in (values[0], *means))


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of those that are no NaN, NaN where all are."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def at_seams_and_within(seams: list[float], within: list[float], digits: int) -> str:
    at = f"{np.mean(seams):.{digits}f}" if seams else "–"
    return f"{at} / {np.nanmean(within):.{digits}f}"
