"""Open media files that strangers made: known containers only, nothing beside them is read, every handle is closed."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from media.user_error import UserError

# FFmpeg also reads playlists, which name further files and addresses, and draws text files as pictures: a stranger's
# file gets neither. Names as in `ffmpeg -demuxers`.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,nut,ivf,h264,hevc,obu,m4v,dv,gif,"
    "y4m,yuv4mpegpipe,rm,wav,w64,mp3,flac,aac,aiff,caf,au,amr,ac3,eac3,oga,opus"
)
# An 8K frame (8192 x 4320) and a little more. The header alone makes a decoder take memory for several of these.
MAX_PIXELS = 36_000_000
# ISO files of single pictures (ISO 23008-12), whose tiles FFmpeg would take for films.
PICTURE_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "avif"})
NO_FILM = Disposition.attached_pic | Disposition.dependent | Disposition.still_image | Disposition.timed_thumbnails


class MediaError(UserError):
    """A file that cannot be used. `reason` is a short code for tables, the message is for people."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class NotSeekable(MediaError):
    """The file cannot be read from its middle, as a bare H.264 stream cannot; it is left unusable and is opened anew."""

    def __init__(self, error: Exception):
        super().__init__("not_seekable", f"the file can be read from its beginning only ({error}); re-export it as mp4")


@dataclass(frozen=True)
class Span:
    """A part of a media file: its bytes, and seconds from its first picture on, `end` exclusive.

    `track` is the audio stream that is heard, counted from 0; None has the part choose its own.
    """

    data: bytes
    start: float
    end: float
    track: int | None = None


Source = bytes | Path | Span


@contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Open for reading; container and file are closed when the block ends, however it ends.

    Raises:
        MediaError: `empty`, `unreadable`, or `not_video` for what is no known container.
    """
    data = source.data if isinstance(source, Span) else source
    try:
        handle = io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb")
    except OSError as error:
        raise MediaError(
            "unreadable", f"the file cannot be opened ({error.strerror}); check its path and permissions"
        ) from error
    with handle:
        if not handle.read(1):
            raise MediaError("empty", "the file has zero bytes; copy it again")
        handle.seek(0)
        with _container(handle) as container:
            yield container


def _container(handle: io.BufferedIOBase) -> InputContainer:
    # Without a protocol no format can reach for another file. Odd bytes in a title are no reason to refuse a clip.
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    try:
        return av.open(handle, mode="r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise _not_video(error) from error
    except OSError as error:
        raise reading_failed(error) from error


def reading_failed(error: OSError) -> MediaError:
    """What a failing read of the file itself means.

    FFmpeg seeks to where a broken header points; a place before the file's beginning is no fault of the disk.
    """
    if error.errno == errno.EINVAL:
        return _not_video(error)
    return MediaError("unreadable", f"reading fails ({error}); copy or re-export the file")


def _not_video(error: Exception) -> MediaError:
    return MediaError("not_video", f"no video and no sound that FFmpeg can read ({error}); export the file again")


def video_stream(container: InputContainer) -> VideoStream:
    """The first video stream that is a film of its own: no cover picture, no tile or layer of another one.

    Raises:
        MediaError: `no_video`, `no_decoder`, `transparent` or `too_large`.
    """
    if container.metadata.get("major_brand") in PICTURE_BRANDS:
        raise MediaError(
            "no_video", "the file is a photograph (HEIC or AVIF), no film; give it as a picture, or leave it out"
        )
    streams = [s for s in container.streams.video if not s.disposition & NO_FILM]
    if not streams:
        raise MediaError("no_video", "the file has no video stream; talking-human clips need one")
    stream = streams[0]
    if stream.codec_context is None:
        raise MediaError("no_decoder", "FFmpeg has no decoder for the video stream; re-export the clip as H.264")
    if stream.metadata.get("alpha_mode") == "1":
        raise MediaError(
            "transparent",
            "the film is partly transparent (VP8 or VP9 alpha) and would be read opaque; export it without transparency",
        )
    check_size(stream.codec_context.width, stream.codec_context.height)
    stream.thread_type = "NONE"
    return stream


def go_to(container: InputContainer, seconds: float, stream: VideoStream | None = None) -> None:
    """Go to the last key frame at or before so many seconds of the clock of the container, or of one stream. Raises `NotSeekable`."""
    base = Fraction(1, av.time_base) if stream is None or stream.time_base is None else stream.time_base
    try:
        container.seek(int(seconds / base), stream=stream, backward=True)
    except av.FFmpegError as error:
        raise NotSeekable(error) from error


def check_size(width: int, height: int) -> None:
    """Refuse pictures that would take a decoder's memory by the gigabyte. Raises `MediaError` `too_large`."""
    if width * height > MAX_PIXELS:
        raise MediaError(
            "too_large", f"pictures of {width} x {height} pixels, at most {MAX_PIXELS} are read; scale the clip down"
        )
