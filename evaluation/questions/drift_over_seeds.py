"""Drift of long puppet videos over seeds of the noise: every person with every seed, one video at a time, each written as soon as it is measured.

Ten minutes of eight people with three seeds take an hour: what was measured is read again where a run was ended, and no more than one person's
video is in memory. What is kept is what was seen in each frame, so that all of it is summed up as one batch of videos would be.
"""

import dataclasses
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.questions.long_segments import TRUTH, Progress, measure_segments
from evaluation.questions.long_video_drift import (
    SeenSegment,
    SegmentScore,
    puppet_video,
    reference_colours,
    score_of,
    seen_in,
)
from media import write_atomically

APART = 1_000_000  # between the noise of one seed's first person and the next seed's
FRAMES, SEGMENTS = ("opening", "asked", "colours", "joints", "missing"), ("seam_change", "inner_change", "detail")


def measure_drift_over_seeds(
    pipeline: Any,
    clips: int,
    seeds: int,
    segments: int,
    segment_frames: int,
    seed: int,
    kept: Path,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[SegmentScore]:
    """Make audio-driven videos of `clips` people with `seeds` noises each, and measure each segment over all of them.

    The first noise is that of `evaluation.questions.long_video_drift.measure_drift`. A joint's number counts people first, then seeds. The truth
    has no noise: its rows are of `clips` videos.

    Args:
        pipeline: an `OmniHumanPipeline` of puppets.
        clips: how many people.
        seeds: of the noise, for each of them.
        segments, segment_frames, seed, steps: as of `measure_drift`.
        kept: folder of what is measured, one file for each video; a file that is there is not measured again, so a folder is of one model and
            one set of the settings above: it has the name that `evaluation.questions.kept_videos.kept_name` gives, and `holding_alone` is
            the caller's.
        progress: called with (segments done, segments to be made, way).

    Raises:
        ValueError: fewer than one clip, seed or segment.
    """
    if min(clips, seeds, segments) < 1:
        raise ValueError(f"drift needs a clip, a seed and a segment at least, got {clips}, {seeds} and {segments}")
    files = files_of(kept, clips, seeds)
    missing = [place for place, file in files.items() if not file.is_file()]
    told = _Told(progress, len(missing))
    for clip in range(clips):
        wanted = [noise for noise, other in missing if other == clip]
        if not wanted:
            continue
        video, people = puppet_video(1, segments, segment_frames, seed + clip, steps)
        look = partial(seen_in, people=people, colours=reference_colours(people))
        for noise in wanted:
            noisy = dataclasses.replace(video, seeds=[one + APART * noise for one in video.seeds])
            seen = measure_segments(pipeline, noisy, people, look, told, truth=noise == 0)
            write_atomically(files[noise, clip], _packed(seen))
    return _scores(list(files.values()))


def files_of(kept: Path, clips: int, seeds: int) -> dict[tuple[int, int], Path]:
    """Where what is measured of each video is kept, by (noise, clip)."""
    return {(noise, clip): kept / f"seed-{noise}-clip-{clip}.npz" for noise in range(seeds) for clip in range(clips)}


class _Told:
    """Hands on what each video's measurement says, as of all videos together."""

    def __init__(self, progress: Progress | None, videos: int):
        self.progress, self.videos, self.done = progress, videos, 0

    def __call__(self, _: int, each: int, way: str) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, each * self.videos, way)


def _scores(files: list[Path]) -> list[SegmentScore]:
    """Segments of the ways in the order in which they were made, the truth's last."""
    together: dict[tuple[str, int], list[SeenSegment]] = {}
    for file in files:
        for part in _unpacked(file):
            together.setdefault((part.made, part.segment), []).append(part)
    return [score_of(parts) for parts in together.values()]


def _packed(seen: list[SeenSegment]) -> bytes:
    """Of one clip: numbers of frames and of segments, a row after the other, by way."""
    arrays: dict[str, np.ndarray] = {}
    for made in dict.fromkeys(part.made for part in seen):
        own = [part for part in seen if part.made == made]
        arrays |= {f"{made}/{name}": np.concatenate([getattr(part, name)[0] for part in own]) for name in FRAMES}
        arrays |= {f"{made}/{name}": np.array([getattr(part, name) for part in own]) for name in SEGMENTS}
        arrays |= {f"{made}/lengths": np.array([part.opening.shape[1] for part in own])}
        arrays |= {f"{made}/reference": own[0].reference[0]}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stubs read any name as one of its own
    return buffer.getvalue()


def _unpacked(file: Path) -> Iterator[SeenSegment]:
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    ways = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
    for made in sorted(ways, key=lambda way: way == TRUTH):
        ends = np.cumsum(arrays[f"{made}/lengths"])
        for segment, (stop, length) in enumerate(zip(ends, arrays[f"{made}/lengths"], strict=True)):
            opening, asked, colours, joints, missing = (
                arrays[f"{made}/{name}"][None, stop - length : stop] for name in FRAMES
            )
            seam, inner, detail = (float(arrays[f"{made}/{name}"][segment]) for name in SEGMENTS)
            reference = arrays[f"{made}/reference"][None]
            yield SeenSegment(made, segment, opening, asked, colours, reference, joints, missing, seam, inner, detail)
