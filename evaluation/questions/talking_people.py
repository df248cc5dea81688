"""Rendered people who talk for as long as is asked, and what networks and the truth say of videos of them."""

from collections.abc import Collection, Sequence

import numpy as np

import people
from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.observation.observed import Observed
from evaluation.panel import Panel
from evaluation.questions.long_segments import lay_out
from evaluation.trial.scenes import truth_of
from omnihuman.long_video import LongVideo
from people import Person
from people.speech.recordings import RATE
from profiles.video import VideoConfig

# What such a person's clip brings beside a generated video.
BROUGHT: frozenset[Need] = frozenset({"truth_frames", "reference", "sound", "person_truth"})


def side_of_people(video: VideoConfig) -> int:
    """Side in pixels of the square pictures in which a model of this profile is shown people: of its first square bucket, else the main one's shorter side.

    Raises:
        BenchmarkError: rendered people come at other rates than the profile's.
    """
    for key, wanted, found in (("video.fps", people.FPS, video.fps), ("video.sample_rate", RATE, video.sample_rate)):
        if found != wanted:
            raise BenchmarkError(
                f"{key} is {found:g}, and rendered people come at {wanted:g}; ask with a profile of that"
            )
    square = next((bucket for bucket in (video, *video.buckets) if bucket.height == bucket.width), None)
    return min(video.height, video.width) if square is None else square.height


def people_video(
    clips: int, segments: int, segment_frames: int, side: int, seed: int, steps: int | None
) -> tuple[LongVideo, list[Person]]:
    """Of rendered people with voices and sentences that no training has, as `lay_out`."""

    def draw(one: int, frames: int) -> Person:
        return people.render(one, frames=frames, size=side, split="held_out")

    return lay_out(draw, clips, segments, segment_frames, side, RATE, seed, steps)


def look_at_people(
    instruments: Instruments,
    metrics: Collection[str],
    shown: Sequence[Person],
    frames: np.ndarray,
    start: int = 0,
) -> Panel:
    """Score `(B, T, H, W, 3)` uint8 that are to show the people's frames from `start` on; what cannot be had is in the panel's `unmeasured`.

    Raises:
        evaluation.metrics.MetricError: a clip that cannot be scored.
    """
    panel, length = Panel(instruments, BROUGHT, metrics), frames.shape[1]
    for place, (person, made) in enumerate(zip(shown, frames, strict=True)):
        first = round(start / person.fps * RATE)
        heard = np.asarray(person.audio, np.float32)[first : first + round(length / person.fps * RATE)]
        panel.update(
            Observed(
                f"{place}-{person.seed}", person.fps, made, instruments, real=person.frames[start : start + length],
                reference=person.frames[-1], sound=heard, sample_rate=RATE, person_truth=truth_of(person, start, length),
            )
        )  # fmt: skip
    return panel
