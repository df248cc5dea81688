"""From a clip's own size and rate to the bucket that is trained on. With any change here `TRANSFORM` must change."""

from dataclasses import dataclass

import cv2
import numpy as np

from media import Span, decode_clip
from profiles.schema import VideoConfig

TRANSFORM = "centre-crop-area-1"
# Longer or larger clips are used up to so many bytes of source frames, though no more than one is held at a time.
DECODE_BYTES = 768 * 1024**2


@dataclass(frozen=True)
class BucketClip:
    """`frames` is `(T, height, width, 3)` uint8 RGB at the bucket's rate; `audio` `(S,)` float32 or None."""

    frames: np.ndarray
    audio: np.ndarray | None


def bucket_name(video: VideoConfig) -> str:
    """For example `64x64x17@16`: height, width, frames, rate."""
    return f"{video.height}x{video.width}x{video.frames}@{video.fps:g}"


def load_bucket_clip(data: bytes | Span, width: int, height: int, fps: float, video: VideoConfig) -> BucketClip:
    """Decode a clip's file to the bucket.

    Args:
        data: the media file, or a part of it.
        width, height, fps: the source's own, from clips.parquet; they bound how many seconds are used.
        video: the bucket.

    Raises:
        MediaError: the file cannot be decoded.
    """
    affordable = DECODE_BYTES / (width * height * 3 * max(fps, 1.0))
    needed = (video.frames + video.reference_gap + 1) / video.fps
    # Each frame is brought to the bucket as it is decoded: a clip at its own size need not fit in memory.
    clip = decode_clip(
        data, video.fps, video.sample_rate, max(affordable, needed), lambda image: to_bucket(image[None], video)[0]
    )
    return BucketClip(clip.frames, clip.audio)


def to_bucket(frames: np.ndarray, video: VideoConfig) -> np.ndarray:
    """Crop `(T, H, W, 3)` uint8 about its centre to the bucket's shape and resize; of that size, it is returned."""
    height, width = frames.shape[1:3]
    if (height, width) == (video.height, video.width):
        return frames
    scale = max(video.height / height, video.width / width)
    crop_height = min(height, max(1, round(video.height / scale)))
    crop_width = min(width, max(1, round(video.width / scale)))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    cropped = frames[:, top : top + crop_height, left : left + crop_width]
    # Averaging keeps small pictures free of aliasing; enlarging needs interpolation.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.stack([cv2.resize(image, (video.width, video.height), interpolation=how) for image in cropped])
