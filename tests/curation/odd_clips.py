"""Malformed and odd files, each made here, with what must be said of it: usable, or a reason."""

import io
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

import puppets
from media import encode_clip

USABLE = ""
FPS = 16


@dataclass(frozen=True)
class OddClip:
    """A file name and how to put it there. `verdict` holds the reasons that are right; `USABLE` among them is a row in
    clips.parquet, of which `columns` must hold."""

    name: str
    put: Callable[[Path], None]
    verdict: tuple[str, ...]
    columns: dict[str, Any] | None = None


@cache
def frames_of(seed: int, count: int = 25) -> np.ndarray:
    """Of a puppet, rendered once; not to be written to."""
    frames = puppets.render(seed, "clean", count).frames
    frames.flags.writeable = False
    return frames


def muxed(
    frames: np.ndarray, container: str = "matroska", codec: str = "libx264", pixels: str = "yuv420p", **how: Any
) -> bytes:
    """Frames in any container and codec; `times` in milliseconds, `options` of codec, `colours` and `matrix` of the stream."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=how.get("muxer", {})) as output:
        stream = output.add_stream(codec, rate=how.get("rate", FPS))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.options = {"threads": "1"} | how.get("options", {})
        if "times" in how:
            stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in how.get("colours", {}).items():
            setattr(stream.codec_context, name, value)
        if "rotate" in how:
            stream.set_display_rotation(*how["rotate"])
        if how.get("sound") is not None:
            sound = output.add_stream(how.get("sound_codec", "aac"), rate=16_000, layout=how.get("layout", "mono"))
        if not len(frames):
            output.start_encoding()  # writes the header
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=pixels)
            for name, value in how.get("colours", {}).items():
                setattr(frame, name, value)
            if "times" in how:
                frame.pts, frame.time_base = how["times"][number], Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if how.get("sound") is not None:
            put_sound(output, sound, how["sound"], how.get("layout", "mono"))
    return buffer.getvalue()


def put_sound(output, stream, samples: np.ndarray, layout: str = "mono") -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    for start in range(0, len(samples), 1024):
        chunk = np.repeat(samples[None, start : start + 1024], channels, axis=0).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def sound_only(samples: np.ndarray, container: str = "mp4", codec: str = "aac") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        put_sound(output, output.add_stream(codec, rate=16_000, layout="mono"), samples)
    return buffer.getvalue()


def song_with_cover() -> bytes:
    """Sound, and a picture that is the cover of the record."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = output.add_stream("aac", rate=16_000, layout="mono")
        frame = av.VideoFrame.from_ndarray(frames_of(3)[0], format="rgb24").reformat(format="yuvj420p")
        output.mux(cover.encode(frame))
        output.mux(cover.encode())
        put_sound(output, sound, tone(2.0))
    return buffer.getvalue()


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * 16_000)) * 0.1)).astype(np.float32)


def faststart(data: bytes) -> bytes:
    """The same packets with the index in front, as the web writes it."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:  # the muxer reads its own file again
        with av.open(io.BytesIO(data)) as read, av.open(file.name, "w", options={"movflags": "faststart"}) as output:
            stream = output.add_stream_from_template(read.streams.video[0])
            for packet in read.demux(read.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
        return Path(file.name).read_bytes()


def scrambled(data: bytes, begin: float, stop: float) -> bytes:
    """With other bytes from one part of the file to another."""
    first, last = int(len(data) * begin), int(len(data) * stop)
    noise = np.random.default_rng(0).integers(0, 256, last - first, np.uint8).tobytes()
    return data[:first] + noise + data[last:]


def declared(data: bytes, box: bytes, offset: int, value: int) -> bytes:
    """An mp4 with another 32-bit number at `offset` bytes after the name of its first such box."""
    place = data.index(box) + 4 + offset
    return data[:place] + struct.pack(">I", value) + data[place + 4 :]


def size_changes_halfway() -> bytes:
    """Two H.264 streams of different sizes, one after the other in one transport stream."""
    halves = [muxed(frames_of(40), "mpegts"), muxed(np.pad(frames_of(41), ((0, 0), (0, 32), (0, 0), (0, 0))), "mpegts")]
    return b"".join(halves)


def write(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def written(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(make()) and None


def with_sidecar(make: Callable[[], bytes], sidecar: bytes) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.write_bytes(make())
        path.with_name(path.name + ".json").write_bytes(sidecar)

    return put


def link_circle(path: Path) -> None:
    other = path.with_name("other end of the circle.mp4")
    path.symlink_to(other)
    other.symlink_to(path)


def folder_circle(path: Path) -> None:
    """A folder that links to itself, with a clip beside the link."""
    path.parent.mkdir()
    (path.parent / "again").symlink_to(path.parent, target_is_directory=True)
    path.write_bytes(encode_clip(frames_of(50), FPS))


def pipe_behind_a_link(path: Path) -> None:
    os.mkfifo(path.with_name(".pipe"))
    path.symlink_to(path.with_name(".pipe"))


def clip(seed: int, sound: float | None = None, count: int = 25, **how: Any) -> bytes:
    return encode_clip(frames_of(seed, count), FPS, None if sound is None else tone(sound), **how)


HDR = {"color_trc": ColorTrc.SMPTE2084, "color_primaries": ColorPrimaries.BT2020, "colorspace": Colorspace.BT2020}
HLG = HDR | {"color_trc": ColorTrc.ARIB_STD_B67}
LONG = "ä" * 123 + ".mp4"  # 250 bytes: there is no room for `.json`


def odd_clips() -> list[OddClip]:
    """All of them; content is different in each, so that none is a duplicate."""
    wide = lambda seed: np.concatenate([frames_of(seed)] * 2, axis=2)  # noqa: E731
    bad = [
        OddClip("zero bytes.mp4", write(b""), ("empty",)),
        OddClip("one byte.mp4", write(b"\0"), ("not_video",)),
        OddClip("noise.mp4", write(np.random.default_rng(1).integers(0, 256, 50_000, np.uint8).tobytes()), ("not_video",)),
        OddClip("letter.mp4", write(b"This is a letter, not a film.\n" * 400), ("not_video",)),
        OddClip("letter.txt", write(b"FFmpeg would draw this as a film of a terminal.\n" * 400), ("not_video",)),
        OddClip("page.mp4", write(b"<html><body>404 not found</body></html>" * 50), ("not_video",)),
        OddClip("playlist.mp4", write(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n"), ("not_video",)),
        OddClip("concat.mp4", write(b"ffconcat version 1.0\nfile /etc/hostname\n"), ("not_video",)),
        OddClip("picture.mp4", written(lambda: muxed(frames_of(1)[:1], "image2pipe", "png", "rgb24")), ("not_video",)),
        OddClip("cut before the index.mp4", written(lambda: clip(2, 1.5)[:3000]), ("not_video",)),
        OddClip("cut to a tenth.mp4", written(lambda: (lambda d: d[: len(d) // 10])(faststart(clip(4, crf=1)))), ("not_video", "truncated", "no_frames")),
        OddClip("cut to a half.mp4", written(lambda: (lambda d: d[: len(d) // 2])(faststart(clip(5, crf=1)))), ("truncated",)),
        OddClip("cut to 80 percent.mp4", written(lambda: (lambda d: d[: len(d) * 8 // 10])(faststart(clip(6, crf=1)))), ("truncated",)),
        OddClip("zero frames.mkv", written(lambda: muxed(frames_of(7)[:0])), ("no_frames", "no_video", "not_video")),
        OddClip("zero frames with sound.mkv", written(lambda: muxed(frames_of(7)[:0], sound=tone(1.5))), ("no_frames", "no_video")),
        OddClip("sound only.mp4", written(lambda: sound_only(tone(2.0))), ("no_video",)),
        OddClip("sound only.wav", written(lambda: sound_only(tone(1.0), "wav", "pcm_s16le")), ("no_video",)),
        OddClip("cover picture.m4a", written(song_with_cover), ("no_video",)),
        OddClip("one frame.mp4", written(lambda: encode_clip(frames_of(8)[:1], FPS)), ("too_short",)),
        OddClip("sixteen frames.mp4", written(lambda: encode_clip(frames_of(9)[:16], FPS)), ("too_short",)),
        OddClip("corrupt middle.mp4", written(lambda: scrambled(clip(10, crf=1), 0.2, 0.7)), ("damaged", "truncated", "no_frames", "not_video")),
        OddClip("corrupt from a third on.mkv", written(lambda: scrambled(muxed(frames_of(11), options={"crf": "1"}), 0.33, 1.0)), ("damaged", "truncated")),
        OddClip("cut to 60 percent.mkv", written(lambda: (lambda d: d[: len(d) * 6 // 10])(muxed(frames_of(51), options={"crf": "1"}))), ("truncated",)),
        OddClip("cut to 60 percent, with sound.mkv", written(lambda: (lambda d: d[: len(d) * 6 // 10])(muxed(frames_of(52), sound=tone(1.5)))), ("truncated", "bad_audio")),
        OddClip("corrupt sound.mkv", written(lambda: muxed(frames_of(12), sound=tone(1.5), sound_codec="flac")[:-9000] + bytes(9000)), ("bad_audio", USABLE)),
        OddClip("hours without a picture.mkv", written(lambda: muxed(frames_of(13), times=[*range(0, 1920, 80), 36_000_000])), ("time_gap",)),
        OddClip("larger than 8K.mkv", written(lambda: muxed(np.zeros((1, 8000, 8000, 3), np.uint8), "matroska", "mjpeg", "yuvj420p")), ("too_large",)),
        OddClip("points nowhere.mp4", lambda path: path.symlink_to("nothing.mp4"), ("unreadable",)),
        OddClip("circle of links.mp4", link_circle, ("unreadable",)),
    ]  # fmt: skip
    good = [
        OddClip("plain.mp4", written(lambda: clip(20, 25 / 16)), (USABLE,), {"has_audio": True, "rotation": 0, "bit_depth": 8}),
        OddClip("wrong extension.avi", written(lambda: clip(21, 1.5)), (USABLE,), {"container": "mov,mp4,m4a,3gp,3g2,mj2"}),
        OddClip("no extension", written(lambda: muxed(frames_of(22))), (USABLE,), {"container": "matroska,webm"}),
        OddClip("video only.mp4", written(lambda: clip(23)), (USABLE,), {"has_audio": False, "audio_channels": 0}),
        OddClip("sound shorter.mp4", written(lambda: clip(24, 0.5)), (USABLE,), {"has_audio": True}),
        OddClip("sound longer.mp4", written(lambda: clip(25, 5.0)), (USABLE,), {"has_audio": True, "frames": 25}),
        OddClip("stream of sound without a sample.mkv", written(lambda: muxed(frames_of(26), sound=tone(0.0))), (USABLE,), {"has_audio": False}),
        OddClip("stereo.mkv", written(lambda: muxed(frames_of(27), sound=tone(1.5), layout="stereo")), (USABLE,), {"audio_channels": 2, "audio_sample_rate": 16_000}),
        OddClip("six channels.mkv", written(lambda: muxed(frames_of(28), sound=tone(1.5), layout="5.1", sound_codec="flac")), (USABLE,), {"audio_channels": 6, "audio_codec": "flac"}),
        OddClip("variable rate.mkv", written(lambda: muxed(frames_of(29), times=[0, *np.cumsum([40, 160] * 12).tolist()])), (USABLE,), {"variable_rate": True}),
        OddClip("a rate that is a lie.mkv", written(lambda: muxed(frames_of(30), rate=1000, times=list(range(0, 2000, 80)))), (USABLE,), {"variable_rate": False}),
        OddClip("turned right.mp4", written(lambda: muxed(wide(31), "mp4", rotate=(-90,))), (USABLE,), {"rotation": 90, "width": 64, "height": 128}),
        OddClip("turned left.mp4", written(lambda: muxed(wide(32), "mp4", rotate=(90,))), (USABLE,), {"rotation": 270, "width": 64, "height": 128}),
        OddClip("upside down.mp4", written(lambda: muxed(wide(33), "mp4", rotate=(180,))), (USABLE,), {"rotation": 180, "width": 128}),
        OddClip("mirrored.mp4", written(lambda: muxed(wide(34), "mp4", rotate=(0, True))), (USABLE,), {"rotation": 0, "mirrored": True}),
        OddClip("ten bits.mkv", written(lambda: muxed(frames_of(35), pixels="yuv420p10le")), (USABLE,), {"bit_depth": 10, "hdr": ""}),
        OddClip("ten bits PQ.mkv", written(lambda: muxed(frames_of(36), codec="libx265", pixels="yuv420p10le", colours=HDR, options={"x265-params": "log-level=none"})), (USABLE,), {"bit_depth": 10, "hdr": "pq", "video_codec": "hevc"}),
        OddClip("ten bits HLG.mkv", written(lambda: muxed(frames_of(37), codec="libx265", pixels="yuv420p10le", colours=HLG, options={"x265-params": "log-level=none"})), (USABLE,), {"hdr": "hlg"}),
        OddClip("odd size.mp4", written(lambda: encode_clip(frames_of(38)[:, :63, :61], FPS)), (USABLE,), {"width": 61, "height": 63}),
        OddClip("two pixels high.mp4", written(lambda: encode_clip(frames_of(39)[:, 30:32], FPS)), (USABLE,), {"width": 64, "height": 2}),
        OddClip("size changes halfway.ts", written(size_changes_halfway), (USABLE,)),
        OddClip("8K of nothing.mp4", written(lambda: muxed(np.full((3, 4320, 7680, 3), 90, np.uint8), "mp4", rate=2, options={"preset": "ultrafast"})), (USABLE,), {"width": 7680, "height": 4320}),
        OddClip("declares 37 hours.mp4", written(lambda: declared(clip(42), b"mvhd", 16, 0x7FFFFFF0)), (USABLE,), {"frames": 25}),
        OddClip("declares another size.mp4", written(lambda: declared(clip(43), b"tkhd", 76, 7680 << 16)), (USABLE,), {"width": 64}),
        OddClip("a title that is no text.mkv", written(lambda: muxed(frames_of(44)).replace(b"Lavf", b"\xff\xfe\xff\xfe", 1)), (USABLE,)),
        OddClip("moving picture.gif", written(lambda: muxed(frames_of(45), "gif", "gif", "rgb8")), (USABLE,), {"container": "gif"}),
        OddClip("camera tape.avi", written(lambda: muxed(frames_of(46), "avi", "mpeg4")), (USABLE,), {"container": "avi"}),
        OddClip("bare stream.h264", written(lambda: muxed(frames_of(47, 33), "h264")), (USABLE,), {"container": "h264", "frames": 33}),
        OddClip("starts late.ts", written(lambda: muxed(frames_of(48), "mpegts", times=list(range(3_600_000, 3_602_000, 80)))), (USABLE,), {"container": "mpegts"}),
        OddClip("folder/circle.mp4", folder_circle, (USABLE,)),
        OddClip(LONG, written(lambda: clip(51)), (USABLE,), {"caption_note": "no sidecar"}),
        OddClip("-rf; $(id) `id` %s\n.mp4", written(lambda: clip(52)), (USABLE,)),
        OddClip(os.fsdecode(b"not utf-8 \xff.mp4"), written(lambda: clip(53)), (USABLE,)),
        OddClip("half a surrogate.mp4", with_sidecar(lambda: clip(54), b'{"caption": "\\ud800", "licence": "\\udfff"}'), (USABLE,)),
        OddClip("deep sidecar.mp4", with_sidecar(lambda: clip(55), b"[" * 100_000), (USABLE,), {"caption": ""}),
        OddClip("huge sidecar.mp4", with_sidecar(lambda: clip(56), b" " * 3_000_000), (USABLE,), {"caption": ""}),
    ]  # fmt: skip
    return [*bad, *good]
