"""Every score of one clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.bucket import BucketClip
from curation.people.keypoints import KeypointDetector
from curation.scores.clip_media import Bench, Material
from curation.scores.contract import Score, Values
from curation.scores.registry import switched_on
from profiles.schema import VideoConfig
from profiles.scores import ScoresConfig


@dataclass(frozen=True)
class ClipScores:
    """`values` has a column's value, NaN where it has no meaning; `keypoints` is `(T, 133, 3)` float32."""

    values: Values
    keypoints: np.ndarray


def score_clip(
    clip: BucketClip,
    detector: KeypointDetector,
    video: VideoConfig,
    pose_keypoints: Sequence[int],
    scores: ScoresConfig | None = None,
) -> ClipScores:
    """Score one clip that is already in the bucket; its pixels stand for the source's.

    Args:
        clip: frames at the bucket's size and rate, sound or None.
        detector: finds `(T, 133, 3)` keypoints.
        video: the bucket.
        pose_keypoints: indices that the pose condition needs.
        scores: which scores, and what they are told; by default those that need no weights.
    """
    scores = scores or ScoresConfig()
    bench = Bench(video, detector, tuple(pose_keypoints), scores.native_frames)
    material = Material.of_bucket(clip, bench)
    return ClipScores(score_material(material, switched_on(scores), scores), material.detected.keypoints)


def score_material(material: Material, which: Sequence[Score], scores: ScoresConfig) -> Values:
    """The columns of `which`."""
    values: Values = {}
    for score in which:
        values |= score.compute(material, score.config(scores))
    return values
