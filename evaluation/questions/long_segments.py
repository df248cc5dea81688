"""Long videos of drawn people, whose truth is known to the end: laid out, made in each way there is, and walked through segment by segment."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from evaluation.metrics.sharpness import high_frequency_energy
from omnihuman.long_video import OVERLAP, LongVideo, generate_segments

Progress = Callable[[int, int, str], None]
Row = TypeVar("Row")
JOINED, CUT, ALONE, TRUTH, STREAM = "joined, dissolved", "joined, cut", "each alone", "rendered truth", "streamed"
# Steps from frame to frame over which a seam is looked at: a dissolve of 5 frames takes as many.
SEAM = OVERLAP + 1


class Drawn(Protocol):
    """Somebody who was drawn. The last frame is the reference picture: the same person in another pose, as in the benchmarks."""

    @property
    def frames(self) -> np.ndarray: ...

    @property
    def caption(self) -> str: ...

    @property
    def audio(self) -> np.ndarray | None: ...


Somebody = TypeVar("Somebody", bound=Drawn)


@dataclass(frozen=True)
class MadeSegment:
    """One segment of all clips, before anybody says how good it is.

    Attributes:
        made: `JOINED`, `CUT`, `ALONE`, `STREAM` or `TRUTH`.
        segment: from 0.
        start: its first frame's number in the video.
        pictures: `(B, T, H, W, 3)` uint8.
        seam_change: largest change from a frame to the next, mean |RGB| in [0, 1], over the six steps that begin at the last frame
            of the segment before; mean over the clips. NaN for segment 0.
        inner_change: the same over the segment's last six steps.
        detail: energy above half of Nyquist, summed over the clips; what is read is its share of the first segment's.
    """

    made: str
    segment: int
    start: int
    pictures: np.ndarray
    seam_change: float
    inner_change: float
    detail: float


def lay_out(
    draw: Callable[[int, int], Somebody],
    clips: int,
    segments: int,
    segment_frames: int,
    side: int,
    sample_rate: int,
    seed: int,
    steps: int | None,
) -> tuple[LongVideo, list[Somebody]]:
    """An audio-driven video of as many overlapping segments, and the people in it, drawn to its end or beyond.

    Args:
        draw: gives somebody by (seed, frames), frames being 4n+1.
        clips: how many people, as one batch.
        segments: of each video.
        segment_frames: 4n+1.
        side: of the square pictures.
        sample_rate: of their sound in Hz.
        seed: of the first of them.
        steps: sampling steps, None for the model's own.

    Raises:
        ValueError: somebody without sound.
    """
    shared = LongVideo([], None, None, {}, segment_frames, segment_frames, [], side, side).shared
    frames = segment_frames + (segments - 1) * (segment_frames - shared)
    seeds = [seed + k for k in range(clips)]
    people = [draw(one, frames + (1 - frames) % 4) for one in seeds]
    video = LongVideo(
        prompts=[person.caption for person in people],
        reference=torch.from_numpy(np.stack([person.frames[-1] for person in people])),
        audio=torch.from_numpy(np.stack([_sound(person) for person in people])),
        tracks={},
        frames=frames,
        segment_frames=segment_frames,
        seeds=seeds,
        height=side,
        width=side,
        steps=steps,
        sample_rate=sample_rate,
    )
    return video, people


def _sound(person: Drawn) -> np.ndarray:
    if person.audio is None:
        raise ValueError(f"somebody without sound cannot drive a video by it: {person.caption!r}")
    return np.asarray(person.audio, np.float32)


def segments_of(seconds: float, segment_frames: int, fps: float) -> int:
    """How many overlapping segments a video of so many seconds has."""
    return max(1, 1 + math.ceil((seconds * fps - segment_frames) / (segment_frames - OVERLAP)))


def measure_segments(
    pipeline: Any,
    joined: LongVideo,
    people: list[Somebody],
    score: Callable[[MadeSegment], Row],
    progress: Progress | None = None,
    truth: bool = True,
) -> list[Row]:
    """Make the video in each way, and score each segment of each, the drawn truth's last.

    Args:
        pipeline: an `OmniHumanPipeline`.
        joined: what to make, of segments that overlap; the ways without overlap have as many as fit into its length.
        people: who is in it.
        score: of one segment.
        progress: called with (segments done, segments of all ways, way).
        truth: False leaves the truth out, where the same people's was scored before.
    """
    videos = ways_of_making(pipeline, joined)
    total = sum(video.segments for video in videos.values())
    rows: list[Row] = []
    for made, video in videos.items():
        pictures = ((segment.start, segment.frames.cpu().numpy()) for segment in generate_segments(pipeline, video))
        for segment in _walk(made, pictures):
            rows.append(score(segment))
            if progress is not None:
                progress(len(rows), total, made)
    if not truth:
        return rows
    spans = (joined.span(index) for index in range(joined.segments))
    drawn = ((start, np.stack([person.frames[start:stop] for person in people])) for start, stop in spans)
    return rows + [score(segment) for segment in _walk(TRUTH, drawn)]


def ways_of_making(pipeline: Any, joined: LongVideo) -> dict[str, LongVideo]:
    """The same long video joined as it is made, by a hard cut, and of segments that know nothing of one another."""
    if pipeline.config.get("streaming"):  # which has no joints to be made in one way or another
        return {STREAM: joined}
    cut = dataclasses.replace(joined, overlap=0, frames=joined.frames // joined.segment_frames * joined.segment_frames)
    return {JOINED: joined, CUT: cut, ALONE: dataclasses.replace(cut, joined=False)}


def _walk(made: str, segments: Iterator[tuple[int, np.ndarray]]) -> Iterator[MadeSegment]:
    """Keeps the last frame of the segment before, and nothing else."""
    before: np.ndarray | None = None
    for index, (start, pictures) in enumerate(segments):
        joint = None if before is None else np.concatenate([before, pictures[:, :SEAM]], axis=1)
        seam = float("nan") if joint is None else largest_change(joint)
        within, detail = largest_change(pictures[:, -SEAM - 1 :]), float(high_frequency_energy(pictures).sum())
        yield MadeSegment(made, index, start, pictures, seam, within, detail)
        before = pictures[:, -1:]


def largest_change(pictures: np.ndarray) -> float:
    """Over the frames of each clip of `(B, T, H, W, 3)` uint8, mean over the clips."""
    values = pictures.astype(np.float32) / 255.0
    return float(np.abs(np.diff(values, axis=1)).mean(axis=(2, 3, 4)).max(axis=1).mean())


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
    """Means of both, as one cell of a table."""
    at = f"{np.mean(seams):.{digits}f}" if seams else "–"
    return f"{at} / {np.nanmean(within):.{digits}f}"


def detail_kept(details: list[float]) -> float:
    """Mean of the last quarter's segments as a share of the first segment's."""
    return float(np.mean(details[-max(1, len(details) // 4) :]) / details[0])
