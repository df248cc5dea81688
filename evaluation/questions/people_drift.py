"""Does a long video of somebody stay what it began as: who is seen, whether a face is, the mouth, detail and seams of each segment of long videos of rendered people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.registry import METRICS
from evaluation.questions.long_segments import (
    MadeSegment,
    Progress,
    at_seams_and_within,
    detail_kept,
    first_and_last,
    measure_segments,
)
from evaluation.questions.talking_people import look_at_people, people_video
from people import Person

LOOKED_AT = ("csim", "dlib_face_distance", "faces_found", "missing_keypoints", "true_mouth_r", "motion_magnitude")


@dataclass(frozen=True)
class PeopleSegment:
    """One segment, over all clips.

    Attributes:
        made, segment, seam_change, inner_change, detail: as of `MadeSegment`.
        numbers: of `LOOKED_AT` what can be had, by name; distances are to the picture that was given.
    """

    made: str
    segment: int
    numbers: Mapping[str, float]
    seam_change: float
    inner_change: float
    detail: float

    def as_row(self) -> dict[str, Any]:
        """A row of a table."""
        row = {key: value for key, value in vars(self).items() if key != "numbers"}
        return {**row, **self.numbers}


def measure_people_drift(
    pipeline: Any,
    instruments: Instruments,
    clips: int,
    segments: int,
    segment_frames: int,
    side: int,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[PeopleSegment]:
    """Make `clips` audio-driven videos of `segments` segments and measure each segment, beside the ways and the truth that puppets have.

    Args:
        pipeline: an `OmniHumanPipeline`.
        instruments: what looks; keypoints at least.
        clips: how many people, made as one batch.
        segments: how many, where they overlap; the rows without overlap have as many as fit into that length.
        segment_frames: 4n+1.
        side: of the square pictures.
        seed: of the first person; nobody of them must have been trained on.
        steps: sampling steps, None for the model's own.
        progress: called with (segments done, segments of all rows, note).

    Raises:
        ValueError: fewer than one clip or segment.
    """
    if clips < 1 or segments < 1:
        raise ValueError(f"drift needs at least one clip and one segment, got {clips} and {segments}")
    joined, shown = people_video(clips, segments, segment_frames, side, seed, steps)
    return measure_segments(pipeline, joined, shown, lambda segment: _score(segment, instruments, shown), progress)


def _score(segment: MadeSegment, instruments: Instruments, shown: list[Person]) -> PeopleSegment:
    metrics = look_at_people(instruments, LOOKED_AT, shown, segment.pictures, segment.start).metrics
    return PeopleSegment(
        segment.made,
        segment.segment,
        {name: metrics[name].compute().value for name in LOOKED_AT if name in metrics},
        segment.seam_change,
        segment.inner_change,
        segment.detail,
    )


def as_markdown(rows: list[PeopleSegment]) -> str:
    """One table: of each way the first segment, and the means of the first and of the last quarter."""
    names = list(rows[0].numbers)
    heads = [f"{METRICS[name].directed_title()}: first, first quarter, last quarter" for name in names]
    lines = [
        f"| made | segments | {' | '.join(heads)} | largest change at seams / within | detail, last quarter / first segment |",
        "| --- | ---: |" + " ---: |" * (len(names) + 2),
    ]
    for made in dict.fromkeys(row.made for row in rows):
        own = [row for row in rows if row.made == made]
        cells = [first_and_last(np.array([row.numbers[name] for row in own])) for name in names]
        change = at_seams_and_within([row.seam_change for row in own[1:]], [row.inner_change for row in own], 4)
        detail = detail_kept([row.detail for row in own])
        lines.append(f"| {made} | {len(own)} | {' | '.join(cells)} | {change} | {detail:.2f} |")
    return "\n".join(lines)
