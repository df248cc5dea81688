"""Read one clip: frames at a fixed rate, sound at a fixed rate. One source frame is held at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame

from media.audio.hearing import SEEK_SECONDS, Sound, sound_of_span
from media.audio.meter import CLIPPING, Clipping
from media.containers import MediaError, NotSeekable, Source, Span, open_media, video_stream
from media.pictures import FrameStream, PictureConverter, frame_rate
from media.probe import no_frames

# Frames may be shown a little before their time: clocks of containers round to milliseconds.
TOLERANCE = 1e-3
Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Clip:
    """Decoded media. `frames` is `(T, H, W, 3)` uint8 RGB at `fps`; `audio` is `(S,)` float32 or None, `sound` what of the file
    it is."""

    frames: np.ndarray
    fps: float
    audio: np.ndarray | None
    sample_rate: int
    sound: Sound | None = None


def decode_clip(
    source: Source,
    fps: float,
    sample_rate: int = 16_000,
    max_seconds: float | None = None,
    transform: Transform | None = None,
    clipping: Clipping = CLIPPING,
) -> Clip:
    """Decode to constant `fps` (nearest earlier frame, so variable rates are handled) and mono `sample_rate`.

    Pictures come as they are shown: upright (the display matrix is applied), in square pixels, laid on white where they are
    transparent, in 8-bit BT.709 colours whatever the file's bit depth and dynamic range.

    Args:
        source: the file's bytes or its path, or a part of it.
        fps: frames per second wanted.
        sample_rate: audio samples per second wanted.
        max_seconds: stop decoding video there.
        transform: what becomes of each frame, `(H, W, 3)` uint8 to an array of one fixed shape. Given a crop and resize,
            memory holds the small frames and one large one, however large and long the clip is.
        clipping: what counts as clipped in `sound`.

    Raises:
        MediaError: the file cannot be used.
    """
    shown = _looked_at(source, fps, max_seconds, transform)
    seconds = len(shown.frames) / fps
    heard = sound_of_span(source, sample_rate, shown.start, seconds, clipping) if shown.has_audio else None
    sound, audio = heard or (None, None)
    return Clip(shown.frames, fps, audio, sample_rate, sound)


def decode_frames(
    source: Source, fps: float, max_seconds: float | None = None, transform: Transform | None = None
) -> np.ndarray:
    """`frames` of `decode_clip`, without listening to the sound.

    Args:
        source, fps, max_seconds, transform: as there.

    Raises:
        MediaError: its pictures cannot be used.
    """
    return _looked_at(source, fps, max_seconds, transform).frames


@dataclass(frozen=True)
class _Shown:
    """Frames at a constant rate, when the first one is shown on the file's clock, and whether there is a stream of sound."""

    frames: np.ndarray
    start: float
    has_audio: bool


def _looked_at(source: Source, fps: float, max_seconds: float | None, transform: Transform | None) -> _Shown:
    try:
        return _shown(source, fps, max_seconds, transform)
    except NotSeekable:
        return _shown(source, fps, max_seconds, transform, seek=False)


def _shown(
    source: Source, fps: float, max_seconds: float | None, transform: Transform | None, seek: bool = True
) -> _Shown:
    with open_media(source) as container:
        stream = FrameStream(container, video_stream(container))
        span = (source.start, source.end) if isinstance(source, Span) else None
        paced = _Pacing(fps, transform, PictureConverter(stream.stream))
        timed = _from_start(stream, span) if seek else iter(stream)
        start = paced.run(timed, stream, span, max_seconds)
        return _Shown(paced.frames(), start, bool(container.streams.audio))


class _Pacing:
    """Turns frames at their own times into frames at a constant rate."""

    def __init__(self, fps: float, transform: Transform | None, convert: PictureConverter):
        self.fps, self._transform, self._convert = fps, transform, convert
        # One growing buffer: a list that is stacked at the end would hold everything twice.
        self._pixels, self._count = bytearray(), 0
        self._shape: tuple[int, ...] = (0, 0)

    def run(
        self,
        timed: Iterable[tuple[float, VideoFrame]],
        stream: FrameStream,
        span: tuple[float, float] | None,
        max_seconds: float | None,
    ) -> float:
        """Take all frames; returns the time of the first one that is wanted, in the file's clock."""
        start: float | None = None
        held, first, last, seen = _Held(), 0.0, 0.0, 0
        for time, frame in timed:
            if start is None:
                first, start = time, time + (span[0] if span else 0.0)
            if max_seconds is not None and seen and time - start > max_seconds:
                break
            if span and time - first >= span[1] - TOLERANCE and seen:
                break
            while held.frame is not None and start + self._count / self.fps + TOLERANCE < time:
                self._put(held)
            held, last, seen = _Held(frame), time, seen + 1
        if start is None or held.frame is None:
            raise no_frames()
        end = first + span[1] if span else last + 1.0 / frame_rate(stream.stream, seen, first, last)
        wanted = max(1, int((end - start) * self.fps + TOLERANCE))
        while self._count < wanted:
            self._put(held)
        self._count = wanted
        return start

    def frames(self) -> np.ndarray:
        """`(T, ...)` uint8."""
        size = self._count * int(np.prod(self._shape))
        return np.frombuffer(self._pixels, np.uint8)[:size].reshape(self._count, *self._shape)

    def _put(self, held: "_Held") -> None:
        if held.image is None:
            assert held.frame is not None
            image = self._convert.full(held.frame)
            held.image = np.ascontiguousarray(image if self._transform is None else self._transform(image))
        if self._count and held.image.shape != self._shape:
            raise MediaError(
                "size_changes",
                f"pictures change from {self._shape[1]} x {self._shape[0]} to {held.image.shape[1]} x "
                f"{held.image.shape[0]} pixels; re-export the clip at one size",
            )
        self._shape = held.image.shape
        self._pixels += held.image.reshape(-1).data
        self._count += 1


@dataclass
class _Held:
    """The frame that is shown until the next one comes; converted only if it is wanted."""

    frame: VideoFrame | None = None
    image: np.ndarray | None = None


def _from_start(stream: FrameStream, span: tuple[float, float] | None) -> Iterator[tuple[float, VideoFrame]]:
    """All frames, or the first one and then those from the last key frame before the span on."""
    timed = iter(stream)
    first = next(timed, None)
    if first is None:
        return
    yield first
    if span is not None and span[0] > SEEK_SECONDS:
        timed = _sought(stream, first[0], span[0])
    yield from timed


def _sought(stream: FrameStream, first: float, offset: float) -> Iterator[tuple[float, VideoFrame]]:
    stream.seek(first + offset)
    timed = iter(stream)
    landed = next(timed, None)
    if landed is None or landed[0] > first + offset + TOLERANCE:
        # A file without a good index: it is read from its beginning.
        stream.seek(first)
        timed = iter(stream)
    else:
        yield landed
    yield from timed
