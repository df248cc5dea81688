"""Write one clip as mp4 (H.264 + AAC), or without loss (FFV1)."""

import io
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from media.pictures import untagged_matrix

# Every frame alone, four slices with checksums; one thread and no identifiers, so that the same frames are the same bytes.
LOSSLESS = {"level": "3", "coder": "1", "context": "0", "g": "1", "slices": "4", "slicecrc": "1", "threads": "1"}
SAME_BYTES = {"fflags": "+bitexact"}
LOSSLESS_PIXELS = "bgr0"  # FFV1's 8-bit RGB


def encode_clip(
    frames: np.ndarray,
    fps: float | Fraction,
    audio: np.ndarray | None = None,
    sample_rate: int = 16_000,
    *,
    crf: int = 12,
    pixel_format: str = "yuv444p",
    audio_bitrate: int = 96_000,
) -> bytes:
    """Encode frames and mono sound into the bytes of an mp4 file.

    Args:
        frames: `(T, H, W, 3)` uint8 RGB. Odd sizes need `yuv444p`.
        fps: frames per second.
        audio: `(S,)` float in [-1, 1], or None for a silent file without an audio stream.
        sample_rate: of `audio`, in Hz.
        crf: x264 constant rate factor; 12 keeps 64-pixel puppets measurable.
        pixel_format: `yuv444p` keeps colour at full resolution, `yuv420p` plays in every browser.
        audio_bitrate: AAC bits per second.
    """
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = pixel_format
        # x264's macroblock tree reads memory that it did not write: with it the same frames give different bytes.
        video.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "mbtree": "0"}
        sound = None
        if audio is not None:
            sound = aac_stream(container, sample_rate, audio_bitrate)
        colours, converter = tag_colours(video), Converter()
        for image in frames:
            container.mux(video.encode(converter.convert(image, pixel_format, colours)))
        container.mux(video.encode())
        if sound is not None and audio is not None:
            encode_samples(container, sound, audio, sample_rate)
            container.mux(sound.encode())
    return buffer.getvalue()


class Converter:
    """Pictures of one film as an encoder takes them: one scaler for all, which each would make anew by itself, with threads, in three times the time
    (`findings/av_makes_a_scaler_for_each_picture.sh`)."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def convert(self, image: np.ndarray, pixel_format: str, colours: Colorspace | None = None) -> av.VideoFrame:
        """`(H, W, 3)` uint8 RGB; `colours` is the matrix of what is no RGB, whose range is that of television."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        meant = {} if colours is None else {"dst_colorspace": colours, "dst_color_range": ColorRange.MPEG}
        return self._scaler.reformat(picture, format=pixel_format, threads=1, **meant)


def tag_colours(video: VideoStream) -> Colorspace:
    """Have a stream say how its colours are meant, by its height as players guess it; gives the matrix to convert with.

    An untagged film is read by BT.709 from 720 lines on, whatever matrix it was made with: green comes out darker.
    """
    matrix = untagged_matrix(video.height)
    high = matrix == Colorspace.ITU709
    context = video.codec_context
    context.colorspace = matrix
    context.color_primaries = ColorPrimaries.BT709 if high else ColorPrimaries.SMPTE170M
    context.color_trc = ColorTrc.BT709 if high else ColorTrc.SMPTE170M
    context.color_range = ColorRange.MPEG
    return matrix


def aac_stream(container: OutputContainer, sample_rate: int, bitrate: int = 96_000) -> AudioStream:
    """A mono AAC stream of an open file; `bitrate` in bits per second."""
    stream = container.add_stream("aac", rate=sample_rate, layout="mono")
    stream.bit_rate = bitrate
    return stream


def encode_samples(
    container: OutputContainer, stream: AudioStream, audio: np.ndarray, sample_rate: int, first: int = 0
) -> None:
    """Encode `(S,)` float samples, of which the first one is number `first` of the stream; the encoder is not flushed."""
    container.mux(audio_packets(stream, audio, sample_rate, first))


def audio_packets(stream: AudioStream, audio: np.ndarray, sample_rate: int, first: int = 0) -> list[av.Packet]:
    """The packets of `encode_samples`, in no file yet."""
    packets: list[av.Packet] = []
    samples = np.ascontiguousarray(audio, dtype=np.float32)[None]
    for start in range(0, samples.shape[1], 1024):
        chunk = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        frame.pts = first + start
        frame.time_base = Fraction(1, sample_rate)
        packets += stream.encode(frame)
    return packets


def encode_lossless(frames: np.ndarray, fps: float) -> bytes:
    """Encode `(T, H, W, 3)` uint8 RGB frames into bytes from which `decode_lossless` gives the same frames.

    FFV1 (RFC 9043) in Matroska: of the codecs that PyAV brings and that keep 8-bit RGB it gave the fewest bytes,
    docs/results/2026-11-29-features.md.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska", container_options=SAME_BYTES) as container:
        video = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(video, VideoStream)
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = LOSSLESS_PIXELS
        video.options = {**LOSSLESS}
        converter = Converter()
        for image in frames:
            container.mux(video.encode(converter.convert(image, LOSSLESS_PIXELS)))
        container.mux(video.encode())
    return buffer.getvalue()


def decode_lossless(data: bytes) -> np.ndarray:
    """`(T, H, W, 3)` uint8 RGB frames of what `encode_lossless` gave."""
    scaler = VideoReformatter()
    with av.open(io.BytesIO(data), "r") as container:
        frames = container.decode(container.streams.video[0])
        return np.stack([scaler.reformat(frame, format="rgb24", threads=1).to_ndarray() for frame in frames])
