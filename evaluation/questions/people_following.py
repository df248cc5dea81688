"""What each driving signal gives of rendered people: the same question as of puppets, read by networks and held against what was drawn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from evaluation.metrics.bootstrap import Estimate
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.registry import METRICS
from evaluation.questions.condition_following import RESAMPLES, Cast, FollowingScore, Progress, follow
from evaluation.questions.talking_people import look_at_people, people_video
from people import Person

# Of what judges people those that follow what was drawn (docs/results/2026-11-29-metrics-on-trial.md), and whether there is a face at all.
FOLLOWED = ("true_mouth_r", "akd", "head_pose_error", "csim", "dlib_face_distance", "faces_found")


def measure_people_following(
    pipeline: Any,
    instruments: Instruments,
    clips: int,
    segments: int,
    segment_frames: int,
    side: int,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[FollowingScore]:
    """As `condition_following.measure_condition_following`, of rendered people.

    Args:
        pipeline: an `OmniHumanPipeline`.
        instruments: what looks; keypoints at least.
        clips: how many people, made as one batch.
        segments: joined by motion frames; 1 measures single segments only.
        segment_frames: 4n+1.
        side: of the square pictures.
        seed: of the first person; nobody of them must have been trained on.
        steps: sampling steps, None for the model's own.
        progress: called with (segments done, segments of all ways, way).

    Raises:
        ValueError: fewer than two clips (a floor needs somebody else) or no segment.
    """

    def cast() -> Cast:
        video, shown = people_video(clips, segments, segment_frames, side, seed, steps)
        keypoints = np.stack([person.keypoints for person in shown])
        truth = np.stack([person.frames[: video.frames] for person in shown])

        def score(way: str, length: int, frames: np.ndarray) -> Iterator[FollowingScore]:
            return _scores(instruments, shown, way, length, frames)

        return Cast(video, torch.from_numpy(keypoints), truth, score)

    return follow(pipeline, cast, clips, segments, progress)


def _scores(
    instruments: Instruments, shown: list[Person], way: str, length: int, frames: np.ndarray
) -> Iterator[FollowingScore]:
    own = look_at_people(instruments, FOLLOWED, shown, frames)
    others = look_at_people(instruments, FOLLOWED, shown[1:] + shown[:1], frames)
    for name in (name for name in FOLLOWED if name in own.metrics):
        score = own.metrics[name].compute(RESAMPLES)
        # Whether a face is seen does not depend on whose it should be.
        alone = {*METRICS[name].needs} <= {"keypoints"}
        floor = float("nan") if alone else others.metrics[name].compute().value
        yield FollowingScore(way, length, name, Estimate(score.value, score.ci_low, score.ci_high), floor)
