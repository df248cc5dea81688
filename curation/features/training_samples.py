"""From clips to training samples: what is cut out of a clip, and the key that says what a sample's features depend on.

No torch here: the processes that decode import this module.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curation.bucket import TILE, BucketClip, choose_bucket, is_tiled, load_bucket_clip
from curation.features.windows import MOTION_FRAMES, Window, choose_windows
from curation.intake.archive import read_clip
from curation.tables.failures import Failure, failure_of
from media import MediaError
from media.speech.level import SpeechMeasure, measure_speech
from profiles.schema import Bucket, VideoConfig


@dataclass(frozen=True)
class Sample:
    """One training sample, before its clip is decoded. `keypoints_start` is a row of the shard's keypoints."""

    sample_id: str
    clip_id: str
    caption: str
    bucket: Bucket
    window: Window
    keypoints_start: int
    feature_key: str
    part_keys: dict[str, str]


@dataclass(frozen=True)
class CutSample:
    """`frames` `(T, H, W, 3)` and `reference` `(H, W, 3)` uint8; `motion` `(5, H, W, 3)`, the frames before the window, or
    None; `audio` `(S,)` float32 of the window, or None; `speech`: how loud the whole clip's is."""

    sample: Sample
    frames: np.ndarray
    reference: np.ndarray
    motion: np.ndarray | None
    audio: np.ndarray | None
    speech: SpeechMeasure | None


@dataclass(frozen=True)
class ClipRequest:
    """One clip to decode and the samples to cut from it."""

    clip_id: str
    width: int
    height: int
    samples: tuple[Sample, ...]


def plan_samples(table: pd.DataFrame, video: VideoConfig, identity: dict[str, Any]) -> list[ClipRequest]:
    """Every sample of a shard. `table` joins clips with their scores; `identity` is what stands in encoders.json."""
    requests = []
    # A sample's features depend on its own bucket, not on which others the profile lists, and what is computed not on how it is kept.
    shared = {key: value for key, value in identity.items() if key not in ("buckets", "latents", "audio_states")}
    for row in table.sort_values("clip_id").itertuples():
        frames = int(row.keypoints_frames)
        bucket = choose_bucket(int(row.width), int(row.height), frames, video)
        windows = choose_windows(row.sha256, frames, video.only(bucket))
        made_with = shared | {"bucket": video.name_of(bucket)} | ({"tile": TILE} if is_tiled(bucket) else {})
        samples = tuple(
            Sample(
                sample_id=f"{row.clip_id}-{window.start:05d}",
                clip_id=row.clip_id,
                caption=row.caption,
                bucket=bucket,
                window=window,
                keypoints_start=int(row.keypoints_offset) + window.start,
                feature_key=feature_key(row.sha256, row.caption, window, made_with),
                part_keys=part_keys(row.sha256, row.caption, window, made_with),
            )
            for window in windows
        )
        requests.append(ClipRequest(row.clip_id, int(row.width), int(row.height), samples))
    return requests


def feature_key(sha256: str, caption: str, window: Window, identity: dict[str, Any]) -> str:
    """Hash of all that a sample's features depend on: clip bytes, caption, window, reference, encoder identities."""
    return _digest([sha256, caption, window.start, window.reference_frame, identity])


def part_keys(sha256: str, caption: str, window: Window, identity: dict[str, Any]) -> dict[str, str]:
    """For each part of the features the hash of what it alone depends on: another caption leaves latents and sound as they
    are, another autoencoder text and sound, another keypoint detector all three."""

    def key(names: str, *of_sample: Any) -> str:
        return _digest(
            [*of_sample, {name: identity[name] for name in (*names.split(), "dtype", "row") if name in identity}]
        )

    return {
        "latents": key("autoencoder transform bucket tile", sha256, window.start, window.reference_frame),
        "audio": key("audio hearing transform bucket", sha256, window.start),
        "text": key("text text_2 text_3 text_tokens", caption),
    }


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cut_samples(work: tuple[Path, VideoConfig], request: ClipRequest) -> list[CutSample] | Failure:
    """Decode one clip of the shard folder `work[0]` and cut its samples; a clip that cannot be decoded says why.

    Raises:
        CurationError: the shard's archive is incomplete.
    """
    shard_dir, video = work
    try:
        data = read_clip(shard_dir, request.clip_id)
        clip = load_bucket_clip(data, request.width, request.height, video)
        return _cut(clip, request, video)
    except Exception as error:
        return failure_of(request.clip_id, "decoding", error)


def _cut(clip: BucketClip, request: ClipRequest, video: VideoConfig) -> list[CutSample]:
    needed = max(max(s.window.start + s.bucket.frames, s.window.reference_frame + 1) for s in request.samples)
    if len(clip.frames) < needed:
        message = (
            f"{len(clip.frames)} frames can be decoded, {needed} were there when it was scored; score the shard again"
        )
        raise MediaError("fewer_frames", message)
    cut, speech = [], None if clip.audio is None else measure_speech(clip.audio)
    for sample in request.samples:
        start = sample.window.start
        audio = None if clip.audio is None else _cut_audio(clip.audio, start, video.only(sample.bucket))
        frames = clip.frames[start : start + sample.bucket.frames]
        motion = clip.frames[start - MOTION_FRAMES : start] if sample.window.has_motion else None
        cut.append(CutSample(sample, frames, clip.frames[sample.window.reference_frame], motion, audio, speech))
    return cut


def _cut_audio(audio: np.ndarray, start: int, video: VideoConfig) -> np.ndarray:
    begin = round(start / video.fps * video.sample_rate)
    length = round(video.frames / video.fps * video.sample_rate)
    piece = audio[begin : begin + length]
    return np.pad(piece, (0, length - len(piece)))
