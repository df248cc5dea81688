"""Decoded frames one at a time, with their times, as they are to be shown: upright, in square pixels, opaque, as 8-bit RGB in the
colours of a common screen."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from threading import get_ident

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from media.containers import MediaError, check_size, go_to, reading_failed

# Transfer functions of high dynamic range: BT.2100's perceptual quantiser and hybrid log-gamma.
HDR = {int(ColorTrc.SMPTE2084): "pq", int(ColorTrc.ARIB_STD_B67): "hlg"}
# Players take the matrix of high definition where a file names none and its pictures have so many lines.
HIGH_DEFINITION_LINES = 720
UNSPECIFIED = 2
# Wider or flatter pixels than these are a broken header, no anamorphic film (the widest in use: 2.13, PAL at 2.35:1).
MAX_PIXEL_ASPECT = 4
WHITE = 255
# Longer without a new picture is no film of a person; the times are broken, or the file is a slide show.
MAX_GAP_SECONDS = 30.0


@dataclass
class FrameStream:
    """The frames of one stream with their times in seconds; times never fall.

    Attributes:
        damaged: pictures or packets that cannot be decoded.
        hidden: packets that the file's edit list hides: the start of a lossless trim is decoded and not shown.

    Raises (while iterated):
        MediaError: `truncated` when the container itself ends early, `time_gap`, `too_large`, `unreadable`.
    """

    container: InputContainer
    stream: VideoStream
    damaged: int = 0
    hidden: int = 0
    _last: float | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        for frame in self._frames():
            check_size(frame.width, frame.height)
            time = self._time(frame)
            if self._last is not None and time - self._last > MAX_GAP_SECONDS:
                raise MediaError(
                    "time_gap",
                    f"no picture for {time - self._last:.0f} s after {self._last:.2f} s; cut the clip or repair its times",
                )
            self._last = time
            yield time, frame

    def seek(self, seconds: float) -> None:
        """Go to the last key frame at or before so many seconds of the stream's own clock. Raises `NotSeekable`."""
        go_to(self.container, seconds, self.stream)
        self._last = None

    def _frames(self) -> Iterator[VideoFrame]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise MediaError("truncated", f"decoding stops early ({error}); copy or re-export the file") from error
            except OSError as error:
                raise reading_failed(error) from error
            if packet is None:
                return
            self.hidden += packet.is_discard
            try:
                frames = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                self.damaged += 1
                continue
            self.damaged += sum(frame.is_corrupt for frame in frames)
            yield from frames

    def _time(self, frame: VideoFrame) -> float:
        """The frame's time; one without, or before the last one's, stands one frame after that."""
        time = None if frame.pts is None else frame.time
        if self._last is None:
            return float(time or 0.0)
        return float(time) if time is not None and time >= self._last else self._last + 1.0 / header_rate(self.stream)


def header_rate(stream: VideoStream) -> float:
    """Frames per second as the header has them, 25 where it has none."""
    return float(stream.average_rate or stream.guessed_rate or 0) or 25.0


def frame_rate(stream: VideoStream, count: int, first: float, last: float) -> float:
    """Frames per second: the header's where the times agree within a tenth, else what the times say."""
    declared = header_rate(stream)
    if count < 2 or last <= first:
        return declared
    measured = (count - 1) / (last - first)
    return declared if abs(declared - measured) <= 0.1 * measured else measured


class PictureConverter:
    """Frames of one stream to arrays. One for each: FFmpeg's scaler is set up once, not with every frame."""

    def __init__(self, stream: VideoStream) -> None:
        self._scaler, self._aspect = VideoReformatter(), pixel_aspect(stream)

    def full(self, frame: VideoFrame) -> np.ndarray:
        """`(H, W, 3)` uint8 RGB, upright, of the size at which the frame is shown."""
        width, height = square_size(frame, self._aspect)
        return upright(self._rgb(frame, width, height, Interpolation.BILINEAR), display_matrix(frame))

    def small(self, frame: VideoFrame, width: int, height: int) -> np.ndarray:
        """`(height, width, 3)` uint8 RGB, upright, averaged down without a full-size RGB picture between."""
        matrix = display_matrix(frame)
        across, down = (height, width) if is_transposed(matrix) else (width, height)
        return upright(self._rgb(frame, across, down, Interpolation.AREA), matrix)

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height as shown: square pixels, turned."""
        width, height = square_size(frame, self._aspect)
        return (height, width) if is_transposed(display_matrix(frame)) else (width, height)

    def _rgb(self, frame: VideoFrame, width: int, height: int, how: Interpolation) -> np.ndarray:
        colours: dict[str, int] = {}
        scaler = self._scaler
        if frame.color_trc in HDR:
            picture_of = (frame.format.name, frame.width, frame.height, frame.color_trc, width, height, how)
            scaler = _hdr_scaler(get_ident(), *picture_of)
            # FFmpeg's own colour mapping (libswscale): BT.2100 to the transfer and primaries of BT.709.
            colours = {
                "dst_colorspace": Colorspace.ITU709,
                "dst_color_trc": ColorTrc.BT709,
                "dst_color_primaries": ColorPrimaries.BT709,
            }
        elif frame.colorspace == UNSPECIFIED and not frame.format.is_rgb:
            colours = {"src_colorspace": untagged_matrix(frame.height)}
        alpha = has_alpha(frame)
        # One thread: clips are decoded side by side already.
        picture = scaler.reformat(
            frame, width, height, "rgba" if alpha else "rgb24", interpolation=how, threads=1, **colours
        ).to_ndarray()
        return on_white(picture) if alpha else picture


@lru_cache(maxsize=4)
def _hdr_scaler(thread: int, *picture: object) -> VideoReformatter:
    """FFmpeg's scaler for HDR pictures that are alike, kept from one clip to the next: its table of colours takes a second of a core."""
    return VideoReformatter()


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width over height of one pixel: 4/3 for HDV's 1440 x 1080, 64/45 for PAL at 16:9, 1 where nothing sensible is said."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return aspect if Fraction(1, MAX_PIXEL_ASPECT) <= aspect <= MAX_PIXEL_ASPECT else Fraction(1)


def square_size(frame: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Width and height in square pixels before turning; the side that is too short grows, so that no pixel is lost."""
    if aspect >= 1:
        return round(frame.width * aspect), frame.height
    return frame.width, round(frame.height / aspect)


def untagged_matrix(lines: int) -> Colorspace:
    """The matrix from YCbCr to RGB that players take for pictures of so many lines that name none."""
    return Colorspace.ITU709 if lines >= HIGH_DEFINITION_LINES else Colorspace.ITU601


def has_alpha(frame: VideoFrame) -> bool:
    """Whether some of what lies in the picture is not to be seen."""
    return frame.format.has_palette or len(frame.format.components) in (2, 4)


def on_white(picture: np.ndarray) -> np.ndarray:
    """`(H, W, 4)` uint8 RGBA laid on white, as photographs are: `(H, W, 3)` uint8."""
    alpha = picture[..., 3:].astype(np.uint16)
    if (alpha == WHITE).all():
        return np.ascontiguousarray(picture[..., :3])
    return ((picture[..., :3] * alpha + WHITE * (WHITE - alpha) + 127) // WHITE).astype(np.uint8)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c, d of the display matrix (ISO 14496-12): the pixel (x, y) is shown at (a x + c y, b x + d y).

    Each is -1, 0 or 1: of other angles the nearest quarter turn. `(1, 0, 0, 1)` for frames that say nothing.
    """
    try:
        data = frame.side_data[SideDataType.DISPLAYMATRIX]  # type: ignore[typeddict-item]
    except KeyError:
        return 1, 0, 0, 1
    except ValueError:  # PyAV does not know some newer kinds of side data; it still tells the angle
        return {90: (0, -1, 1, 0), -90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), -180: (-1, 0, 0, -1)}.get(
            round(frame.rotation / 90) * 90, (1, 0, 0, 1)
        )
    a, b, _, c, d = np.frombuffer(memoryview(data), np.int32)[:5].tolist()
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        return _sign(a), 0, 0, _sign(d)
    return 0, _sign(b), _sign(c), 0


def is_transposed(matrix: tuple[int, int, int, int]) -> bool:
    """Whether rows are shown as columns."""
    return matrix[0] == 0


def rotation_of(matrix: tuple[int, int, int, int]) -> tuple[int, bool]:
    """Clockwise quarter turn in degrees, and whether the picture is mirrored left to right before it."""
    a, b, c, d = matrix
    mirrored = a * d - b * c < 0
    a, b = (-a, -b) if mirrored else (a, b)
    return {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[a, b], mirrored


def upright(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """`(H, W, 3)` as it is to be shown."""
    if matrix == (1, 0, 0, 1):
        return image
    a, b, c, d = matrix
    if is_transposed(matrix):
        image, a, d = image.transpose(1, 0, 2), c, b
    image = image[:, ::-1] if a < 0 else image
    return np.ascontiguousarray(image[::-1] if d < 0 else image)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
