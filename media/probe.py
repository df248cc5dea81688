"""What a file holds: decoded once from end to end, because headers promise what is not there."""

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from media.audio.hearing import Sound, probe_sound
from media.containers import MediaError, Source, open_media, video_stream
from media.pictures import HDR, FrameStream, PictureConverter, display_matrix, frame_rate, rotation_of

LOOK_SIZE = (48, 27)  # width and height of the small pictures; those that TransNetV2 was trained on
DAMAGED_SHARE = 0.02  # of the pictures: below it a repaired spot, above it a broken file
DECLARED_SHARE = 0.9  # of the pictures that the header counts, or of the seconds where it counts none
ISO_FORMAT = "mov,mp4,m4a,3gp,3g2,mj2"
Look = Callable[[float, np.ndarray], None]
"""Called with every frame: its time in seconds from the first, and `(27, 48, 3)` uint8 RGB, upright."""


@dataclass(frozen=True)
class Probe:
    """What a file holds.

    Attributes:
        width, height: in square pixels, as shown: a phone's upright clip is higher than wide, HDV's 1440 x 1080 is 1920 wide.
        fps: the average rate.
        duration: seconds from the first picture to the end of the last.
        frames: how many decode.
        has_audio: an audio stream with at least one sample.
        container, video_codec, pixel_format: FFmpeg's names.
        bit_depth: bits per colour component.
        hdr: `pq` or `hlg` for high dynamic range, which decoding brings to BT.709; else empty.
        rotation: clockwise quarter turn in degrees that decoding applies; `mirrored` likewise.
        interlaced: most pictures are woven of two moments, one in every other line; nothing unweaves them.
        variable_rate: frames do not follow one another evenly.
        damaged: pictures or packets that did not decode cleanly.
        sound: None without a usable audio stream.
    """

    width: int
    height: int
    fps: float
    duration: float
    frames: int
    has_audio: bool
    container: str
    video_codec: str
    pixel_format: str
    bit_depth: int
    hdr: str
    rotation: int
    mirrored: bool
    interlaced: bool
    variable_rate: bool
    damaged: int
    sound: Sound | None


def probe_clip(source: Source, look: Look | None = None) -> Probe:
    """Decode the whole video and audio once and report them; one frame is held at a time.

    Args:
        source: the file.
        look: shown each frame, small.

    Raises:
        MediaError: anything unusable: `empty`, `unreadable`, `not_video`, `no_video`, `no_decoder`, `too_large`,
            `no_frames`, `truncated`, `damaged`, `time_gap`, `bad_audio`.
    """
    sound = probe_sound(source)
    with open_media(source) as container:
        stream = video_stream(container)
        frames, convert = FrameStream(container, stream), PictureConverter(stream)
        times: list[float] = []
        frame, interlaced = None, 0
        for time, frame in frames:
            times.append(time)
            interlaced += frame.interlaced_frame
            if look is not None:
                look(time - times[0], convert.small(frame, *LOOK_SIZE))
        if frame is None:
            raise no_frames()
        _check_whole(len(times), declared_pictures(container, stream, frames.hidden), frames.damaged)
        fps = frame_rate(stream, len(times), times[0], times[-1])
        _check_length(container, max(times[-1] + 1.0 / fps, sound.end if sound else 0.0))
        rotation, mirrored = rotation_of(display_matrix(frame))
        size = convert.shown_size(frame)
        return Probe(
            width=size[0],
            height=size[1],
            fps=fps,
            duration=times[-1] - times[0] + 1.0 / fps,
            frames=len(times),
            has_audio=sound is not None,
            container=container.format.name,
            video_codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            bit_depth=max(component.bits for component in frame.format.components),
            hdr=HDR.get(frame.color_trc, ""),
            rotation=rotation,
            mirrored=mirrored,
            interlaced=2 * interlaced > len(times),
            variable_rate=_varies(np.diff(times)),
            damaged=frames.damaged,
            sound=sound,
        )


def no_frames() -> MediaError:
    """For a video stream of which nothing decodes."""
    return MediaError("no_frames", "the video stream holds no decodable frame; re-export the clip")


def declared_pictures(container: InputContainer, stream: VideoStream, hidden: int) -> int:
    """How many pictures the file says that it shows; 0 where it says nothing.

    An mp4's header counts all that are in the file. What its edit list leaves to see is the index that FFmpeg makes of both:
    entries in front of a cut are there, marked, for the decoder alone, and those behind the last cut are not there at all.
    """
    if stream.frames and container.format.name == ISO_FORMAT and len(stream.index_entries):
        return sum(not entry.is_discard for entry in stream.index_entries)
    return stream.frames - hidden


def _check_whole(found: int, declared: int, damaged: int) -> None:
    if declared and found < declared * DECLARED_SHARE:
        raise MediaError("truncated", f"{found} of {declared} declared frames can be decoded; copy the file again")
    if damaged > DAMAGED_SHARE * (found + damaged):
        raise MediaError(
            "damaged", f"{damaged} pictures beside {found} good ones are damaged; copy or re-export the file"
        )


def _check_length(container: InputContainer, end: float) -> None:
    """Matroska counts no pictures, and what is cut from its end leaves no trace but the length that its header has.

    Args:
        container: as opened.
        end: seconds at which the last picture or sound ends.
    """
    if container.format.name != "matroska,webm" or container.duration is None:
        return
    if any(stream.type not in ("video", "audio") for stream in container.streams):
        return  # subtitles may last longer than the film
    declared = container.duration / av.time_base
    if end < declared * DECLARED_SHARE:
        raise MediaError(
            "truncated", f"{end:.2f} of {declared:.2f} declared seconds can be decoded; copy the file again"
        )


def _varies(intervals: np.ndarray) -> bool:
    """Whether an interval is half as long again as the usual one, or half of it; rounding to milliseconds is not that."""
    if len(intervals) < 2:
        return False
    usual = float(np.median(intervals))
    return bool(((intervals > 1.5 * usual) | (intervals < 0.5 * usual)).any())
