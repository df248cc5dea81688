"""What each driving signal gives: puppets driven by sound, pose, both or words alone, over one segment and over many, beside floors.

A floor is the same video measured against another person's sound, pose and picture: what a number is when nothing was followed.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evaluation.metrics.bootstrap import Estimate, Metric, estimate
from evaluation.metrics.colour import ColourError
from evaluation.metrics.joints import JointErrorMedian, MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.questions.long_segments import TRUTH
from evaluation.questions.long_video_drift import puppet_video, reference_picture
from omnihuman.long_video import LongVideo, generate_segments
from puppets import Puppet, PuppetKeypoints, measure, measure_colours

Progress = Callable[[int, int, str], None]
# What a video is driven by -> whether sound and pose are given. Caption and reference picture always are.
DRIVEN_BY = {
    "sound": (True, False),
    "pose": (False, True),
    "sound and pose": (True, True),
    "words alone": (False, False),
}
RESAMPLES = 1000


@dataclass(frozen=True)
class FollowingScore:
    """One number of videos driven in one way.

    Attributes:
        driven_by: a key of `DRIVEN_BY`, or `TRUTH`.
        segments: over how many, from the first.
        metric: as in the score table.
        value: with its interval over clips.
        floor: the same videos against the next clip's truth; NaN where truth plays no part.
    """

    driven_by: str
    segments: int
    metric: str
    value: Estimate
    floor: float


def measure_condition_following(
    pipeline: Any,
    clips: int,
    segments: int,
    segment_frames: int,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[FollowingScore]:
    """Make `clips` videos of `segments` segments in each way of driving them, and measure the first segment and the whole.

    Args:
        pipeline: an `OmniHumanPipeline` of puppets (64x64).
        clips: how many people, made as one batch.
        segments: joined by motion frames; 1 measures single segments only.
        segment_frames: 4n+1.
        seed: of the first puppet; it must not have been trained on.
        steps: sampling steps, None for the model's own.
        progress: called with (segments done, segments of all ways, way).

    Raises:
        ValueError: fewer than two clips (a floor needs somebody else) or no segment.
    """

    def cast() -> Cast:
        video, people = puppet_video(clips, segments, segment_frames, seed, steps)
        seen = np.stack([PuppetKeypoints()(person.frames[: video.frames]) for person in people])
        truth = np.stack([person.frames[: video.frames] for person in people])

        def score(way: str, length: int, frames: np.ndarray) -> Iterator[FollowingScore]:
            return _scores(way, length, frames, people)

        return Cast(video, torch.from_numpy(seen), truth, score)

    return follow(pipeline, cast, clips, segments, progress)


@dataclass(frozen=True)
class Cast:
    """Who is driven.

    Attributes:
        video: driven by sound.
        poses: `(B, T, 133, 3)` keypoints of the same people.
        truth: `(B, T, H, W, 3)` uint8, what the video should show.
        score: of a way, of so many segments, and of its `(B, t, H, W, 3)` uint8 frames from the first on.
    """

    video: LongVideo
    poses: torch.Tensor
    truth: np.ndarray
    score: Callable[[str, int, np.ndarray], Iterator[FollowingScore]]


def follow(
    pipeline: Any, cast: Callable[[], Cast], clips: int, segments: int, progress: Progress | None = None
) -> list[FollowingScore]:
    """Make the videos in each way of driving them; measure the first segment, the whole, and the truth beside them.

    Args:
        pipeline: what makes them.
        cast: draws who is driven, once it is known that it can be.
        clips, segments: of the cast.
        progress: called with (segments done, segments of all ways, way).

    Raises:
        ValueError: fewer than two clips (a floor needs somebody else) or no segment.
    """
    if clips < 2 or segments < 1:
        raise ValueError(f"driving is measured on two clips or more of one segment or more, got {clips} and {segments}")
    drawn, rows, lengths = cast(), list[FollowingScore](), sorted({1, segments})
    for place, (name, given) in enumerate(DRIVEN_BY.items()):
        made: list[np.ndarray] = []
        for segment in generate_segments(pipeline, _driven(drawn, *given)):
            made.append(segment.frames.cpu().numpy())
            if progress is not None:
                progress(place * segments + len(made), len(DRIVEN_BY) * segments, name)
        rows += [row for n in lengths for row in drawn.score(name, n, np.concatenate(made[:n], axis=1))]
    ends = {length: drawn.video.span(length - 1)[1] for length in lengths}
    return rows + [row for n in lengths for row in drawn.score(TRUTH, n, drawn.truth[:, : ends[n]])]


def _driven(cast: Cast, by_sound: bool, by_pose: bool) -> LongVideo:
    tracks = {"pose": cast.poses} if by_pose else {}
    return dataclasses.replace(cast.video, audio=cast.video.audio if by_sound else None, tracks=tracks)


def _scores(name: str, segments: int, frames: np.ndarray, people: list[Puppet]) -> Iterator[FollowingScore]:
    """Of `(B, T, H, W, 3)` uint8 that show the people from their first frame on."""
    measured = [measure(clip) for clip in frames]
    own, others = (
        _metrics(measured, people, frames.shape[1]),
        _metrics(measured, people[1:] + people[:1], frames.shape[1]),
    )
    every = np.arange(len(people))
    for metric, other in zip(own, others, strict=True):
        floor = float("nan") if isinstance(metric, MissingJoints) else other(every)
        yield FollowingScore(name, segments, metric.name, estimate(metric, RESAMPLES), floor)


def _metrics(measured: list[Any], people: list[Puppet], frames: int) -> list[Metric]:
    joints = np.stack([person.joints[:frames] for person in people])
    reference = np.stack([measure_colours(reference_picture(person)[None])[0] for person in people])
    return [
        MouthCorrelation(
            np.stack([one.opening for one in measured]), np.stack([person.opening[:frames] for person in people])
        ),
        JointErrorMedian(np.stack([one.joints for one in measured]), joints),
        MissingJoints(np.stack([one.missing for one in measured]), joints),
        ColourError(np.stack([one.colours for one in measured]), reference),
    ]


def as_markdown(rows: list[FollowingScore]) -> str:
    """A line per way and length; each number with its interval, and its floor in brackets."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lines = [
        "| driven by | segments | " + " | ".join(metric.replace("_", " ") for metric in metrics) + " |",
        "| --- | ---: |" + " ---: |" * len(metrics),
    ]
    for name, segments in dict.fromkeys((row.driven_by, row.segments) for row in rows):
        cells = {row.metric: _cell(row) for row in rows if (row.driven_by, row.segments) == (name, segments)}
        lines.append(f"| {name} | {segments} | " + " | ".join(cells[metric] for metric in metrics) + " |")
    return "\n".join(lines)


def _cell(row: FollowingScore) -> str:
    said = f"{row.value.value:.3f} [{row.value.ci_low:.3f}, {row.value.ci_high:.3f}]"
    return said if np.isnan(row.floor) else f"{said} (floor {row.floor:.3f})"
