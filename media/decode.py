"""Read one clip: frames at a fixed rate, sound at a fixed rate, errors that say what is wrong with the file."""

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np


class MediaError(Exception):
    """A file that cannot be used. `reason` is a short code for tables, the message is for people."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Clip:
    """Decoded media. `frames` is `(T, H, W, 3)` uint8 RGB at `fps`; `audio` is `(S,)` float32 or None."""

    frames: np.ndarray
    fps: float
    audio: np.ndarray | None
    sample_rate: int


@dataclass(frozen=True)
class Probe:
    """What a file declares and holds. Durations in seconds, `fps` the average rate."""

    width: int
    height: int
    fps: float
    duration: float
    frames: int
    has_audio: bool


def probe_clip(source: bytes | Path) -> Probe:
    """Decode the whole video stream once and report it. Raises `MediaError` for anything unusable.

    Decoding everything is what finds a truncated file; container headers alone promise frames that are not there.
    """
    with _open(source) as container:
        stream = _video_stream(container)
        times, size = [], (0, 0)
        for frame in _decoded(container, stream):
            times.append(float(frame.time or 0.0))
            size = (frame.width, frame.height)
        if not times:
            raise MediaError("no_frames", "the video stream holds no decodable frame; re-export the clip")
        declared = stream.frames
        if declared and len(times) < declared * 0.9:
            raise MediaError(
                "truncated", f"{len(times)} of {declared} declared frames can be decoded; copy the file again"
            )
        fps = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
        duration = max(times) - min(times) + 1.0 / fps
        return Probe(size[0], size[1], fps, duration, len(times), bool(container.streams.audio))


def decode_clip(source: bytes | Path, fps: float, sample_rate: int = 16_000, max_seconds: float | None = None) -> Clip:
    """Decode to constant `fps` (nearest earlier frame, so variable rates are handled) and mono `sample_rate`.

    Args:
        source: the file's bytes or its path.
        fps: frames per second wanted.
        sample_rate: audio samples per second wanted.
        max_seconds: stop decoding video there.
    """
    with _open(source) as container:
        stream = _video_stream(container)
        images: list[np.ndarray] = []
        times: list[float] = []
        for frame in _decoded(container, stream):
            if max_seconds is not None and times and frame.time - times[0] > max_seconds:
                break
            images.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.time or 0.0))
        if not images:
            raise MediaError("no_frames", "the video stream holds no decodable frame; re-export the clip")
        rate = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
        start, end = times[0], times[-1] + 1.0 / rate
        wanted = np.arange(max(1, int((end - start) * fps + 1e-3))) / fps + start
        index = np.searchsorted(np.asarray(times), wanted + 1e-3, side="right") - 1
        frames = np.stack([images[i] for i in np.clip(index, 0, len(images) - 1)])
        has_audio = bool(container.streams.audio)
    audio = _decode_audio(source, sample_rate, start, len(frames) / fps) if has_audio else None
    return Clip(frames, fps, audio, sample_rate)


def _decode_audio(source: bytes | Path, sample_rate: int, start: float, seconds: float) -> np.ndarray:
    """Mono float32, cut or padded with silence so that it covers exactly the video's span."""
    samples, first_time = _resampled(source, sample_rate)
    length = round(seconds * sample_rate)
    offset = round((first_time - start) * sample_rate)
    samples = np.pad(samples, (offset, 0)) if offset > 0 else samples[-offset:]
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float32)


def _resampled(source: bytes | Path, sample_rate: int) -> tuple[np.ndarray, float]:
    """All samples, and the time of the first in seconds."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=sample_rate)
    pieces: list[np.ndarray] = []
    first_time = None
    with _open(source) as container:
        try:
            for frame in container.decode(audio=0):
                if first_time is None:
                    first_time = float(frame.time or 0.0)
                pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(frame))
            pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
        except av.FFmpegError as error:
            raise MediaError("bad_audio", f"the audio stream cannot be decoded ({error}); re-export the clip") from error
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), first_time or 0.0


def read_audio(source: bytes | Path, sample_rate: int = 16_000) -> np.ndarray:
    """The whole first audio stream of a sound or video file as `(S,)` float32 mono at `sample_rate`.

    Raises:
        MediaError: no audio stream, or one that cannot be decoded.
    """
    with _open(source) as container:
        if not container.streams.audio:
            raise MediaError("no_audio", "the file has no audio stream; give a sound file or a video with sound")
    return _resampled(source, sample_rate)[0]


def _open(source: bytes | Path):
    if isinstance(source, bytes) and not source:
        raise MediaError("empty", "the file has zero bytes; copy it again")
    try:
        # A file: URL keeps odd names (leading '-', ':' or '%') from being read as anything but a path.
        handle = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
    except OSError as error:
        raise MediaError("unreadable", f"the file cannot be opened ({error.strerror}); check its permissions") from error
    try:
        return av.open(handle, mode="r")
    except (av.FFmpegError, OSError, ValueError) as error:
        handle.close()
        raise MediaError("not_video", f"not a video container that FFmpeg can read ({error}); re-export the clip") from error


def _video_stream(container):
    if not container.streams.video:
        raise MediaError("no_video", "the file has no video stream; talking-human clips need one")
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    return stream


def _decoded(container, stream):
    try:
        yield from container.decode(stream)
    except av.FFmpegError as error:
        raise MediaError("truncated", f"decoding stops early ({error}); copy or re-export the file") from error
