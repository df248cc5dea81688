"""Rendered people who talk for as long as is asked, and what networks and the truth say of videos of them."""

from collections.abc import Collection, Sequence

import numpy as np
import torch

import people
from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.observation.observed import Observed
from evaluation.panel import Panel
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
    """Audio-driven, of as many overlapping segments, and the people in it, rendered to its end or beyond: of voices and sentences that no training has.

    Args:
        clips: how many people, as one batch.
        segments: of each video.
        segment_frames: 4n+1.
        side: of the pictures.
        seed: of the first person.
        steps: sampling steps, None for the model's own.
    """
    least = LongVideo([], None, None, {}, segment_frames, segment_frames, [], side, side)
    frames = segment_frames + (segments - 1) * (segment_frames - least.shared)
    shown = [
        people.render(seed + k, frames=frames + (1 - frames) % 4, size=side, split="held_out") for k in range(clips)
    ]
    video = LongVideo(
        prompts=[person.caption for person in shown],
        reference=torch.from_numpy(np.stack([person.frames[-1] for person in shown])),
        audio=torch.from_numpy(np.stack([np.asarray(person.audio, np.float32) for person in shown])),
        tracks={},
        frames=frames,
        segment_frames=segment_frames,
        seeds=[seed + k for k in range(clips)],
        height=side,
        width=side,
        steps=steps,
        sample_rate=RATE,
    )
    return video, shown


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
