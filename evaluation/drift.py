"""Does a long video stay what it began as: identity, lip-sync and joints of each segment of long puppet videos.

Three rows of measurements beside one another: segments joined by motion frames, the same segments each by itself (what joining
is to beat at the seams, and what it may lose in identity), and the rendered truth (the ceiling).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evaluation.metrics.colour import ColourError
from evaluation.metrics.mouth import MouthCorrelation
from omnihuman.long_video import LongVideo, generate_segments
from puppets import Puppet, measure, measure_colours, render
from puppets.render import SIZE
from puppets.speech import SAMPLE_RATE

Progress = Callable[[int, int, str], None]
JOINED, ALONE, TRUTH = "joined", "each alone", "rendered truth"


@dataclass(frozen=True)
class SegmentScore:
    """One segment, over all clips.

    Attributes:
        made: `JOINED`, `ALONE` or `TRUTH`.
        segment: from 0.
        colour_error: mean |RGB| in [0, 1] of hair, skin, shirt and wall against the reference picture.
        mouth_correlation: r of the opening in the pixels with the drawn one.
        inner_change: mean |RGB| in [0, 1] between neighbouring frames of the segment.
        seam_change: the same between its first frame and the last one before it; NaN for segment 0.
    """

    made: str
    segment: int
    colour_error: float
    mouth_correlation: float
    inner_change: float
    seam_change: float


def measure_drift(
    pipeline: Any, clips: int, segments: int, segment_frames: int, seed: int, steps: int | None = None, progress: Progress | None = None
) -> list[SegmentScore]:
    """Make `clips` audio-driven videos of `segments` segments and measure each segment.

    Args:
        pipeline: an `OmniHumanPipeline` of puppets (64x64).
        clips: how many people, made as one batch.
        segments: how many segments.
        segment_frames: 4n+1.
        seed: of the first puppet; it must not have been trained on.
        steps: sampling steps, None for the model's own.
        progress: called with (segments done, segments of both rows, note).

    Raises:
        ValueError: fewer than one clip or segment.
    """
    if clips < 1 or segments < 1:
        raise ValueError(f"drift needs at least one clip and one segment, got {clips} and {segments}")
    frames = segments * segment_frames
    people = [render(seed + i, frames=frames + (1 - frames) % 4) for i in range(clips)]
    rows: list[SegmentScore] = []
    for place, made in enumerate((JOINED, ALONE, TRUTH)):
        scoring = _Scoring(made, people, segment_frames)
        for index, pictures in enumerate(_pictures(pipeline, people, made, frames, segment_frames, seed, steps)):
            rows.append(scoring.score(index, pictures))
            if progress is not None and made != TRUTH:
                progress(place * segments + index + 1, 2 * segments, made)
    return rows


def _pictures(
    pipeline: Any, people: list[Puppet], made: str, frames: int, segment_frames: int, seed: int, steps: int | None
) -> Iterator[np.ndarray]:
    """`(B, T, 64, 64, 3)` uint8, a segment at a time."""
    if made == TRUTH:
        for start in range(0, frames, segment_frames):
            yield np.stack([p.frames[start : start + segment_frames] for p in people])
        return
    video = LongVideo(
        prompts=[p.caption for p in people], reference=torch.from_numpy(np.stack([_reference(p) for p in people])),
        audio=torch.from_numpy(np.stack([p.audio for p in people if p.audio is not None])), keypoints=None, frames=frames,
        segment_frames=segment_frames, seeds=[seed + i for i in range(len(people))], height=SIZE, width=SIZE, steps=steps,
        sample_rate=SAMPLE_RATE, joined=made == JOINED,
    )
    for segment in generate_segments(pipeline, video):
        yield segment.frames.cpu().numpy()


def _reference(person: Puppet) -> np.ndarray:
    """The last frame, as in the benchmark: the same person in another pose."""
    return person.frames[-1]


class _Scoring:
    """Keeps the last frames of the segment before, and nothing else."""

    def __init__(self, made: str, people: list[Puppet], segment_frames: int):
        self.made, self.people, self.length = made, people, segment_frames
        self.reference = np.stack([measure_colours(_reference(p)[None])[0] for p in people])
        self.before: np.ndarray | None = None

    def score(self, index: int, pictures: np.ndarray) -> SegmentScore:
        start, every = index * self.length, np.arange(len(pictures))
        measured = [measure(clip) for clip in pictures]
        asked = np.stack([p.opening[start : start + self.length] for p in self.people])
        seam = float("nan") if self.before is None else _change(self.before, pictures[:, 0])
        self.before = pictures[:, -1]
        return SegmentScore(
            self.made, index, ColourError(np.stack([m.colours for m in measured]), self.reference)(every),
            MouthCorrelation(np.stack([m.opening for m in measured]), asked)(every),
            _change(pictures[:, :-1], pictures[:, 1:]), seam,
        )


def _change(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean() / 255.0)


def as_markdown(rows: list[SegmentScore]) -> str:
    """One table: of each row the first segment, and the means of the first and of the last quarter."""
    lines = [
        "| made | segments | colour error: first, first quarter, last quarter | mouth r: first, first quarter, last quarter | change at seams / within |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for made in dict.fromkeys(row.made for row in rows):
        own = [row for row in rows if row.made == made]
        quarter = max(1, len(own) // 4)
        colour, mouth = (
            ", ".join(f"{value:.3f}" for value in (values[0], np.nanmean(values[:quarter]), np.nanmean(values[-quarter:])))
            for values in (np.array([row.colour_error for row in own]), np.array([row.mouth_correlation for row in own]))
        )
        seams = [row.seam_change for row in own[1:]]
        within = float(np.mean([row.inner_change for row in own]))
        joint = f"{np.mean(seams):.4f} / {within:.4f}" if seams else f"– / {within:.4f}"
        lines.append(f"| {made} | {len(own)} | {colour} | {mouth} | {joint} |")
    return "\n".join(lines)
