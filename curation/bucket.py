"""From a clip's own size and rate to the bucket that is trained on. With any change here `TRANSFORM` must change."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from media import Clip, Span, decode_clip
from media.audio.hearing import Sound
from media.audio.meter import CLIPPING, Clipping
from media.framing import crop_to, shape_distance
from profiles.schema import Bucket, VideoConfig

Shape = Bucket | VideoConfig
Look = Callable[[np.ndarray], None]
Watch = Callable[[], Look]
TRANSFORM = "centre-crop-area-3"
# Longer clips are used up to so many bytes of frames in their bucket, which is what is held of them: of their own size it is one at a time.
HELD_BYTES = 768 * 1024**2
# The autoencoder encodes a larger side in tiles of 832 every 640 pixels: memory is that of the published sizes (832 x 480).
TILE = (832, 832, 640, 640)


@dataclass(frozen=True)
class BucketClip:
    """`frames` is `(T, height, width, 3)` uint8 RGB at the bucket's rate; `audio` `(S,)` float32 or None, `sound` what of the
    file it is where it is of a file."""

    frames: np.ndarray
    audio: np.ndarray | None
    sound: Sound | None = None


def bucket_names(video: VideoConfig) -> list[str]:
    """Every bucket's name, in the profile's order."""
    return [video.name_of(bucket) for bucket in video.all_buckets]


def is_tiled(bucket: Bucket) -> bool:
    """Whether the autoencoder sees its frames in tiles, blended where they overlap; up to 832 pixels it sees them whole."""
    return bucket.height > TILE[0] or bucket.width > TILE[1]


def choose_bucket(width: int, height: int, frames: int, video: VideoConfig) -> Bucket:
    """The bucket nearest in aspect ratio (least |log ratio|) among those that `frames` frames fill.

    Of equally near ones the longest wins, then the largest, then the first of the list. A clip that fills none, which is
    never cut, goes to the shortest.
    """
    every = video.all_buckets
    filled = [b for b in every if b.frames <= frames] or [b for b in every if b.frames == min(x.frames for x in every)]
    return min(filled, key=lambda b: (shape_distance(height, width, b.height, b.width), -b.frames, -b.height * b.width))


def likely_bucket(width: int, height: int, video: VideoConfig) -> Bucket:
    """The bucket of a picture of this size whose clip is long enough for any."""
    return choose_bucket(width, height, _longest(video), video)


def used_seconds(bucket: Shape, video: VideoConfig) -> float:
    """How many seconds of a clip are used: what memory holds of its bucket's frames, but at least the longest sample."""
    held = HELD_BYTES / (bucket.width * bucket.height * 3 * video.fps)
    return max(held, (_longest(video) + video.reference_gap + 1) / video.fps)


def _longest(video: VideoConfig) -> int:
    return max(bucket.frames for bucket in video.all_buckets)


def load_bucket_clip(
    data: bytes | Span,
    width: int,
    height: int,
    video: VideoConfig,
    watch: Watch | None = None,
    clipping: Clipping = CLIPPING,
) -> BucketClip:
    """Decode a clip's file, up to `used_seconds`, to the bucket that `choose_bucket` gives it.

    Args:
        data: the media file, or a part of it.
        width, height: the source's own, from clips.parquet.
        video: the buckets.
        watch: called whenever decoding begins, once or twice; what it returns is shown every frame at the source's size.
        clipping: what counts as clipped sound.

    Raises:
        MediaError: the file cannot be decoded.
    """

    def decode(bucket: Bucket) -> Clip:
        # Each frame is brought to the bucket as it is decoded: a clip at its own size need not fit in memory.
        transform = into_bucket(bucket, watch and watch())
        return decode_clip(data, video.fps, video.sample_rate, used_seconds(bucket, video), transform, clipping)

    likely = likely_bucket(width, height, video)
    clip = decode(likely)
    # The table's size, not the decoded one: features plan with the table, and both must agree.
    bucket = choose_bucket(width, height, len(clip.frames), video)
    if (bucket.height, bucket.width) != (likely.height, likely.width):
        # Too few frames for the likely one, which only decoding tells.
        clip = decode(bucket)
    return BucketClip(clip.frames, clip.audio, clip.sound)


def into_bucket(bucket: Shape, look: Look | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """What `media.decode_clip` makes of each frame, `(H, W, 3)` to the bucket's shape; `look` sees it as it was."""

    def transform(image: np.ndarray) -> np.ndarray:
        if look is not None:
            look(image)
        return to_bucket(image[None], bucket)[0]

    return transform


def to_bucket(frames: np.ndarray, bucket: Shape) -> np.ndarray:
    """Crop `(T, H, W, 3)` uint8 about its centre to the bucket's shape and resize; of that size, it is returned."""
    if frames.shape[1:3] == (bucket.height, bucket.width):
        return frames
    return np.stack([crop_to(image, bucket.height, bucket.width) for image in frames])
