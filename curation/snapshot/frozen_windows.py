"""Windows of clips as the files of a frozen set: the clip in its bucket's geometry, a reference, sound, pose, and what is measured of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile

from curation.bucket import choose_bucket, into_bucket
from curation.people.keypoints import CONFIDENT, KeypointDetector, detect
from curation.snapshot.sample_facts import measure_facts
from media import MediaError, Span, decode_clip, decode_frames, encode_clip, read_audio, sha256_of_file
from media.audio.hearing import SILENT_PEAK
from media.frozen_set import FrozenSample, file_in_set
from media.keypoints.keypoint_file import Keypoints, write_keypoints
from profiles.schema import Bucket, VideoConfig

# x264's constant rate factor, colours at full resolution: what decodes differs by 0.6 of a level on average (48 dB; 0.8 MiB a second
# of 480 x 832), measured on the packaged woman.
LOSSLESS_TO_THE_EYE = 6
AUDIO_BITRATE = 128_000
TOLERANCE = 1e-3  # seconds by which a clip may end before its last frame does


@dataclass(frozen=True)
class SourceClip:
    """A clip that windows are cut out of.

    Attributes:
        clip_id: 16 hex digits; begins the ids of its samples.
        name: for people, and for reasons.
        sha256: of the file that it is, or is a part of.
        phash: what it looks like, hex.
        identity: who is seen.
        caption: what is seen.
        width, height: of its pictures, upright.
        seconds: from its first picture to the end of its last.
        has_audio: its file has sound.
        read: gives its media.
    """

    clip_id: str
    name: str
    sha256: str
    phash: str
    identity: str
    caption: str
    width: int
    height: int
    seconds: float
    has_audio: bool
    read: Callable[[], bytes | Span]

    def frames(self, fps: float) -> int:
        """How many pictures it has at a rate."""
        return int(self.seconds * fps + TOLERANCE)


@dataclass(frozen=True)
class Window:
    """`bucket.frames` frames from `start` on, and the frame that shows the person, both at the set's rate."""

    sample_id: str
    bucket: Bucket
    start: int
    reference_frame: int


def spread_windows(clip: SourceClip, video: VideoConfig, most: int) -> list[Window]:
    """Up to `most` windows without overlap, spread over the clip from its first frame to its last; none in a clip that is too short.

    A reference is the nearest frame behind its window, else before it, that keeps `reference_gap`; of a shorter clip the frame
    outside that lies farthest, and of one that is no longer than the window its first.
    """
    total = clip.frames(video.fps)
    bucket = choose_bucket(clip.width, clip.height, total, video)
    count = min(most, total // bucket.frames)
    if count < 1:
        return []
    starts = [0] if count == 1 else [number * (total - bucket.frames) // (count - 1) for number in range(count)]
    ids = [clip.clip_id] if count == 1 else [f"{clip.clip_id}-{number}" for number in range(count)]
    return [
        Window(name, bucket, start, _reference_frame(start, bucket.frames, total, video.reference_gap))
        for name, start in zip(ids, starts, strict=True)
    ]


def write_windows(
    clip: SourceClip, windows: list[Window], folder: Path, video: VideoConfig, detector: KeypointDetector | None
) -> list[FrozenSample]:
    """Write the files of a clip's windows into the draft of a set; memory holds the clip's file and one window.

    Raises:
        MediaError: it cannot be decoded, or has fewer frames than it promised.
    """
    data = clip.read()
    end = max(window.start + window.bucket.frames for window in windows) / video.fps
    sound = _sound_until(clip, data, end, video)
    return [_write_window(clip, data, sound, window, folder, video, detector) for window in windows]


def _write_window(
    clip: SourceClip,
    data: bytes | Span,
    sound: np.ndarray | None,
    window: Window,
    folder: Path,
    video: VideoConfig,
    detector: KeypointDetector | None,
) -> FrozenSample:
    bucket, files = window.bucket, {"pose": "", "audio": ""}

    def place(column: str) -> Path:
        files[column] = file_in_set(column, window.sample_id)
        path = folder / files[column]
        path.parent.mkdir(exist_ok=True)
        return path

    heard = _sound_of(sound, window, video)
    taken = _decode(data, window.start, bucket.frames, bucket, video)
    made = encode_clip(taken, video.fps, heard, video.sample_rate, crf=LOSSLESS_TO_THE_EYE, audio_bitrate=AUDIO_BITRATE)
    # What models are held against is what the file says, not what went into it.
    frames = decode_frames(made, video.fps)
    if frames.shape != taken.shape:
        raise MediaError(
            "frames", f"its window of {len(taken)} frames became {len(frames)} when it was encoded; report it"
        )
    place("clip").write_bytes(made)
    picture = _decode(data, window.reference_frame, 1, bucket, video)[0]
    cv2.imwrite(str(place("reference")), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if heard is not None:
        soundfile.write(place("audio"), heard, video.sample_rate, "PCM_16")
    keypoints = counted = None
    if detector is not None:
        found = detect(detector, frames)
        keypoints, counted = found.keypoints, found.people
        if (keypoints[..., 2] >= CONFIDENT).any():
            write_keypoints(place("pose"), Keypoints(keypoints, bucket.width, bucket.height, video.fps))
    return FrozenSample(
        sample_id=window.sample_id,
        name=clip.name,
        sha256=clip.sha256,
        phash=clip.phash,
        identity=clip.identity,
        caption=clip.caption,
        source_width=clip.width,
        source_height=clip.height,
        width=bucket.width,
        height=bucket.height,
        bucket=f"{bucket.height}x{bucket.width}x{bucket.frames}",
        window_start=window.start,
        window_frames=bucket.frames,
        reference_frame=window.reference_frame,
        fps=video.fps,
        sample_rate=video.sample_rate,
        seconds=clip.seconds,
        **_with_hashes(folder, files),
        **asdict(measure_facts(frames, video.fps, keypoints, counted, heard)),
    )


def _with_hashes(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    return files | {f"{column}_sha256": sha256_of_file(folder / name) if name else "" for column, name in files.items()}


def _reference_frame(start: int, length: int, total: int, gap: int) -> int:
    """A picture from outside the window where there is one: from inside it would freeze the motion (OmniHuman-1.5, section 3)."""
    behind, before = start + length - 1 + max(1, gap), start - max(1, gap)
    if behind < total:
        return behind
    if before >= 0:
        return before
    outside = [frame for frame in (total - 1, 0) if not start <= frame < start + length]
    return outside[0] if outside else 0


def _decode(data: bytes | Span, start: int, frames: int, bucket: Bucket, video: VideoConfig) -> np.ndarray:
    """`(frames, height, width, 3)` uint8 of the bucket's geometry."""
    whole = data if isinstance(data, Span) else Span(data, 0.0, np.inf)
    first = whole.start + start / video.fps
    part = Span(whole.data, first, first + frames / video.fps, whole.track)
    shown = decode_clip(part, video.fps, video.sample_rate, transform=into_bucket(bucket)).frames
    if len(shown) != frames:
        raise MediaError(
            "frames",
            f"{len(shown)} frames at {start / video.fps:.2f} s where {frames} were promised; re-export the clip",
        )
    return shown


def _sound_until(clip: SourceClip, data: bytes | Span, end: float, video: VideoConfig) -> np.ndarray | None:
    """`(S,)` float32 from the clip's first picture until its sound, or `end` seconds of it, are over; None without sound."""
    return read_audio(data, video.sample_rate, end) if clip.has_audio else None


def _sound_of(sound: np.ndarray | None, window: Window, video: VideoConfig) -> np.ndarray | None:
    """`(S,)` as long as the window. None where more than one frame of it is missing, or all of it is silence."""
    if sound is None:
        return None
    first = round(window.start / video.fps * video.sample_rate)
    length = round(window.bucket.frames / video.fps * video.sample_rate)
    heard = sound[first : first + length]
    missing = length - len(heard)
    if missing > video.sample_rate / video.fps or np.abs(heard).max(initial=0.0) <= SILENT_PEAK:
        return None
    return np.pad(heard, (0, missing))
