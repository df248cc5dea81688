"""What the scores of one clip share: it is decoded at most once, and only if some score looks at pixels or sound."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from curation.bucket import (
    TRANSFORM,
    BucketClip,
    Look,
    bucket_names,
    choose_bucket,
    likely_bucket,
    load_bucket_clip,
    used_seconds,
)
from curation.people.keypoints import Detected, KeypointDetector, detect, mouth_opening
from curation.scores.picture.luma import grey, luma
from media import Span
from media.audio.hearing import HEARING, Sound
from media.audio.meter import CLIPPING, Clipping
from media.speech.mouth_and_sound import envelope
from profiles.schema import VideoConfig

# Scores of motion look at pictures of at most this short side: optical flow at full size would cost more than decoding.
WORKING_SHORT_SIDE = 120


@dataclass(frozen=True)
class Bench:
    """What every clip of a shard is scored with.

    Attributes:
        video: the buckets.
        detector: finds keypoints.
        pose_keypoints: indices that the pose condition needs.
        native_frames: pictures kept at the source's own size.
        clipping: what counts as clipped sound.
        devices: where torch's networks compute; each process has one of them. They decide no column's key.
    """

    video: VideoConfig
    detector: KeypointDetector
    pose_keypoints: Sequence[int]
    native_frames: int
    clipping: Clipping = CLIPPING
    devices: tuple[str, ...] = ("cpu",)

    @property
    def device(self) -> str:
        """This process's; processes that look at clips begin one after another, and their numbers go round."""
        return self.devices[os.getpid() % len(self.devices)]

    def identity(self, source: str) -> Any:
        """What decides the content of one part of the material besides the clip's bytes; part of a column's key."""
        video = self.video
        bucket = [TRANSFORM, bucket_names(video), WORKING_SHORT_SIDE]
        identities: dict[str, Any] = {
            "frames": bucket,
            "native": [f"{TRANSFORM} {video.fps:g}", self.native_frames],
            "audio": [f"{video.fps:g}", video.sample_rate, HEARING],
            "keypoints": [bucket, self.detector.name, self.detector.version],
            "pose_keypoints": list(self.pose_keypoints),
            "record": None,
            "data": None,
        }
        return identities[source]


class _NativeFrames:
    """A few frames of a clip at the source's own size, evenly spaced over as many as it is expected to have."""

    def __init__(self, expected: int, count: int):
        self._wanted = set(evenly(max(1, expected), count).tolist())
        self._kept: dict[int, np.ndarray] = {}

    def begin(self) -> Look:
        """Start over: the clip is decoded from its beginning."""
        self._kept, seen = {}, 0

        def look(image: np.ndarray) -> None:
            nonlocal seen
            if seen == 0 or seen in self._wanted:
                self._kept[seen] = image.copy()
            seen += 1

        return look

    def frames(self) -> np.ndarray:
        """`(K, H, W, 3)` uint8; the first one too where the clip was shorter than its record says."""
        if len(self._kept) > 1 and 0 not in self._wanted:
            del self._kept[0]
        return np.stack(list(self._kept.values()))


class Material:
    """One clip on the bench. Everything is made when it is first asked for.

    Args:
        bench: what is shared by all clips.
        record: the clip's row of clips.parquet (`width`, `height`, `fps`, `frames`, `caption`, ...).
        read: gives the file's bytes.
        detected: keypoints from an earlier run, in which case no detector runs.
    """

    def __init__(
        self, bench: Bench, record: dict[str, Any], read: Callable[[], bytes | Span], detected: Detected | None = None
    ):
        self.bench, self.record, self._read = bench, record, read
        if detected is not None:
            self.__dict__["detected"] = detected

    @classmethod
    def of_bucket(cls, clip: BucketClip, bench: Bench, native: np.ndarray | None = None) -> "Material":
        """A clip that is already in the bucket, and has no file: its frames stand for the source's too, unless `native` `(K, H, W, 3)` does."""
        height, width = clip.frames.shape[1:3]
        record = {"width": width, "height": height, "fps": bench.video.fps, "frames": len(clip.frames)}
        made = cls(bench, record, bytes)
        native = clip.frames[evenly(len(clip.frames), bench.native_frames)] if native is None else native
        made.__dict__["_decoded"] = (clip, native)
        return made

    @cached_property
    def data(self) -> bytes | Span:
        """The media file, or the part of one that the clip is."""
        return self._read()

    @cached_property
    def _decoded(self) -> tuple[BucketClip, np.ndarray]:
        video, record = self.bench.video, self.record
        width, height, fps = record["width"], record["height"], record["fps"]
        length = record.get("seconds", record["frames"] / max(fps, 1.0))
        seconds = min(used_seconds(likely_bucket(width, height, video), video), length)
        native = _NativeFrames(min(record["frames"], int(seconds * video.fps)), self.bench.native_frames)
        clip = load_bucket_clip(self.data, width, height, video, native.begin, self.bench.clipping)
        return clip, native.frames()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the clip's bucket, known without decoding where the keypoints are."""
        if "_decoded" in self.__dict__ or "detected" not in self.__dict__:
            height, width = self.frames.shape[1:3]
            return height, width
        frames = len(self.detected.keypoints)
        bucket = choose_bucket(self.record["width"], self.record["height"], frames, self.bench.video)
        return bucket.height, bucket.width

    @property
    def frames(self) -> np.ndarray:
        """`(T, height, width, 3)` uint8 RGB in the bucket."""
        return self._decoded[0].frames

    @property
    def audio(self) -> np.ndarray | None:
        """`(S,)` float32 in [-1, 1], or None."""
        return self._decoded[0].audio

    @property
    def sound(self) -> Sound | None:
        """What of the file `audio` is; None without sound, and for a clip that came without its file."""
        return self._decoded[0].sound

    @property
    def native(self) -> np.ndarray:
        """`(K, H, W, 3)` uint8 RGB at the source's own size, evenly spaced."""
        return self._decoded[1]

    @cached_property
    def native_grey(self) -> np.ndarray:
        """`(K, H, W)` uint8."""
        return grey(self.native)

    @cached_property
    def working(self) -> np.ndarray:
        """`(T, h, w, 3)` uint8: the bucket's frames with a short side of at most 120; the bucket's own if smaller."""
        height, width = self.frames.shape[1:3]
        if self.working_scale == 1.0:
            return self.frames
        size = (round(width / self.working_scale), round(height / self.working_scale))
        return np.stack([_shrunk(image, size) for image in self.frames])

    @property
    def working_scale(self) -> float:
        """Pixels of the bucket per pixel of `working`."""
        return max(1.0, min(self.frames.shape[1:3]) / WORKING_SHORT_SIDE)

    @cached_property
    def luma(self) -> np.ndarray:
        """`(T, h, w)` float32 in [0, 255] of `working`."""
        return luma(self.working)

    @cached_property
    def detected(self) -> Detected:
        """Keypoints `(T, 133, 3)` in the bucket's pixels, and how many people there are."""
        return detect(self.bench.detector, self.frames)

    @cached_property
    def opening(self) -> np.ndarray:
        """`(T,)` mouth opening in pixels, NaN where unseen."""
        return mouth_opening(self.detected.keypoints)

    @cached_property
    def envelope(self) -> np.ndarray | None:
        """`(T,)` RMS of the sound about each frame, or None without sound."""
        if self.audio is None:
            return None
        return envelope(self.audio, len(self.frames), self.bench.video.fps, self.bench.video.sample_rate)


def _shrunk(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Averaged down to `size` (width, height): by halves as long as they go, the rest, less than twice, by interpolation.
    Averaging all the way at once takes ten times as long."""
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def evenly(count: int, wanted: int) -> np.ndarray:
    """Indices of `wanted` of `count` things, evenly spaced with ends left out; all of them where there are no more."""
    if count <= wanted:
        return np.arange(count)
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(int)
