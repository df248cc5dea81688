"""Every score of one clip, and which version of which module computed it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.bucket import TRANSFORM, BucketClip
from curation.keypoints import KeypointDetector, mouth_opening
from curation.scores import brightness, cuts, motion, mouth_audio, overlay_text, pose, sharpness, sound, stillness
from curation.scores.luma import luma
from profiles.schema import VideoConfig

# Column name to the version of what computes it. has_audio comes from the container.
SCORES: dict[str, str] = {
    "motion": motion.VERSION,
    "still_share": stillness.VERSION,
    "cut_score": cuts.VERSION,
    "overlay_text": overlay_text.VERSION,
    "sharpness": sharpness.VERSION,
    "brightness": brightness.VERSION,
    "has_audio": "1",
    "audio_rms_db": sound.VERSION,
    "sound_share": sound.VERSION,
    "mouth_visibility": mouth_audio.VERSION,
    "mouth_audio_correlation": mouth_audio.VERSION,
    "mouth_audio_lag_frames": mouth_audio.VERSION,
    "pose_visibility": pose.VERSION,
    "keypoint_jitter": pose.VERSION,
}


@dataclass(frozen=True)
class ClipScores:
    """`values` has the columns of `SCORES`, NaN where a score has no meaning; `keypoints` is `(T, 133, 3)` float32."""

    values: dict[str, float | bool]
    keypoints: np.ndarray


def score_clip(
    clip: BucketClip, detector: KeypointDetector, video: VideoConfig, pose_keypoints: Sequence[int]
) -> ClipScores:
    """Score one clip that is already in the bucket.

    Args:
        clip: frames at the bucket's size and rate, sound or None.
        detector: finds `(T, 133, 3)` keypoints.
        video: the bucket.
        pose_keypoints: indices that the pose condition needs.
    """
    grey = luma(clip.frames)
    keypoints = np.asarray(detector(clip.frames), np.float32)
    opening = mouth_opening(keypoints)
    values: dict[str, float | bool] = {
        "motion": motion.motion(grey),
        "still_share": stillness.still_share(grey),
        "cut_score": cuts.cut_score(clip.frames),
        "overlay_text": overlay_text.overlay_text(grey),
        "sharpness": sharpness.sharpness(grey),
        "brightness": brightness.brightness(grey),
        "has_audio": clip.audio is not None,
        "mouth_visibility": mouth_audio.mouth_visibility(opening),
        "pose_visibility": pose.pose_visibility(keypoints, pose_keypoints),
        "keypoint_jitter": pose.keypoint_jitter(keypoints, pose_keypoints),
    }
    return ClipScores(values | _sound_scores(clip, opening, video), keypoints)


def _sound_scores(clip: BucketClip, opening: np.ndarray, video: VideoConfig) -> dict[str, float | bool]:
    if clip.audio is None:
        names = ("audio_rms_db", "sound_share", "mouth_audio_correlation", "mouth_audio_lag_frames")
        return dict.fromkeys(names, float("nan"))
    loudness = sound.envelope(clip.audio, len(clip.frames), video.fps, video.sample_rate)
    return {
        "audio_rms_db": sound.audio_rms_db(clip.audio),
        "sound_share": sound.sound_share(clip.audio, video.sample_rate),
        "mouth_audio_correlation": mouth_audio.mouth_audio_correlation(opening, loudness),
        "mouth_audio_lag_frames": mouth_audio.mouth_audio_lag_frames(opening, loudness),
    }


def score_versions(detector: KeypointDetector, video: VideoConfig, pose_keypoints: Sequence[int]) -> dict[str, object]:
    """Everything that decides a score's value besides the clip; goes into the table's metadata."""
    return {
        "scores": SCORES,
        "transform": TRANSFORM,
        "bucket": f"{video.height}x{video.width}@{video.fps:g}",
        "sample_rate": video.sample_rate,
        "keypoints": f"{detector.name}-{detector.version}",
        "pose_keypoints": list(pose_keypoints),
    }
