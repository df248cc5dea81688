"""Valid clips as other people's cameras, phones, editors and calls write them, and a few that are refused with a reason.

Each shows a puppet and, where it has sound, bursts of noise at known times, so that whoever reads it can be checked against both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from media import encode_clip
from tests.curation.odd_clips import USABLE, OddClip, frames_of, muxed, written
from tests.media.sound_files import SoundFile, bursts, film_with_tracks, sound_file, with_damaged_packet
from tests.media.test_shown_pictures import film, trimmed

FRAMES = 33  # at 16 a second, 2.06 s: with four bursts
GAP = (0.7, 1.2)


@dataclass(frozen=True)
class ForeignClip(OddClip):
    """An odd clip of which is known what it shows: frames of puppet `seed`, within `levels` on average, and bursts of sound that
    begin `late`, with none in `gap`; None for clips whose pictures or sound are checked by their columns alone."""

    seed: int | None = None
    levels: float = 6.0
    sound: Callable[[], SoundFile] | None = None
    late: float = 0.0
    gap: tuple[float, float] | None = None


def heard(seed: int, name: str, container: str, codec: str, rate: int = 48_000, **how: Any) -> ForeignClip:
    """A puppet's film in a container with bursts in a codec; `columns` must hold of its row."""
    columns, change = {"has_audio": True} | how.pop("columns", {}), how.pop("change", lambda file: file)

    @cache  # not made before a test asks for it: every worker lists the clips
    def file() -> SoundFile:
        made = change(sound_file(container, codec, rate, frames=frames_of(seed, FRAMES), **how))
        return SoundFile(made.data, how["sound"][0], rate) if "sound" in how else made

    gap, late = how.get("gap"), how.get("late", 0.0)
    return ForeignClip(name, written(lambda: file().data), (USABLE,), columns, seed, 12.0, file, late, gap)


def shown(
    seed: int, name: str, make: Callable[[np.ndarray], bytes], levels: float = 6.0, **columns: Any
) -> ForeignClip:
    """A puppet's film without sound."""
    return ForeignClip(name, written(lambda: make(frames_of(seed))), (USABLE,), columns, seed, levels)


def coded(container: str, codec: str, pixels: str, **how: Any) -> Callable[[np.ndarray], bytes]:
    return lambda frames: muxed(frames, container, codec, pixels, **how)


def several(seed: int, name: str, *sounds: np.ndarray, default: int | None = None, **columns: Any) -> ForeignClip:
    file = cache(lambda: film_with_tracks(frames_of(seed, FRAMES), *sounds, default=default))
    checked = file if any(samples.any() for samples in sounds) else None
    return ForeignClip(name, written(lambda: file().data), (USABLE,), columns, seed, 12.0, checked)


def changing(seed: int, second: tuple[str, int]) -> bytes:
    """A transport stream of two parts whose sound has another layout or rate in the second."""
    parts = [("stereo", 48_000), second]
    made = [sound_file("mpegts", "aac", rate, layout=layout, frames=frames_of(seed, FRAMES)) for layout, rate in parts]
    return b"".join(file.data for file in made)


def end_cut_off(data: bytes, part: float) -> bytes:
    """With an edit list that ends after this part of the film."""
    changed, place = bytearray(data), data.index(b"elst") + 12
    whole = int.from_bytes(data[place : place + 4], "big")
    changed[place : place + 4] = round(whole * part).to_bytes(4, "big")
    return bytes(changed)


def over_magenta(frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 4)`: opaque but for a frame of magenta around it, which is transparent."""
    alpha = np.zeros((*frames.shape[:3], 1), np.uint8)
    alpha[:, 4:-4, 4:-4] = 255
    return np.concatenate([np.where(alpha, frames, np.array([255, 0, 255], np.uint8)), alpha], axis=-1)


def white_around(frames: np.ndarray) -> np.ndarray:
    around = np.full_like(frames, 255)
    around[:, 4:-4, 4:-4] = frames[:, 4:-4, 4:-4]
    return around


def high_definition(seed: int) -> bytes:
    """720 lines without a word on colour, made with the matrix of high definition."""
    frames = np.repeat(np.repeat(frames_of(seed, 21), 12, axis=1), 20, axis=2)[:, :720, :1280]
    return film(frames, pixels="yuv420p", matrix=1, options={"preset": "ultrafast", "crf": "18"})


def picture_of_a_phone() -> bytes:
    """A HEIC photograph; its picture is no film."""
    import io

    import pillow_heif
    from PIL import Image

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(frames_of(3)[0])).save(buffer, format="HEIF")
    return buffer.getvalue()


def quiet(seconds: float = FRAMES / 16) -> np.ndarray:
    return np.zeros(int(seconds * 16_000), np.float32)


def about(value: float) -> Any:
    return pytest.approx(value, abs=0.13)


def timed_sound() -> list[ForeignClip]:
    """Sound with holes, late sound, damaged packets, and containers that know no time."""
    filled = {"audio_filled_seconds": about(0.5)}
    stereo = np.stack([bursts(FRAMES / 16), -bursts(FRAMES / 16)])
    left = np.stack([bursts(FRAMES / 16), 0 * bursts(FRAMES / 16)])
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    return [
        heard(100, "call with a pause.mp4", "mp4", "aac", gap=GAP, columns=filled),
        heard(101, "call with a pause, Opus.mkv", "matroska", "libopus", gap=GAP, columns=filled),
        heard(102, "call with a pause.mkv", "matroska", "aac", gap=GAP, columns=filled),
        heard(103, "broadcast with a pause.ts", "mpegts", "aac", gap=GAP, columns=filled),
        heard(104, "stream with a pause.flv", "flv", "aac", 44_100, gap=GAP, columns=filled),
        heard(105, "late sound in fragments.mp4", "mp4", "aac", late=0.5, muxer=fragments, columns={"audio_filled_seconds": about(0.55)}),
        heard(106, "late sound.mkv", "matroska", "aac", late=0.5),
        heard(107, "a broken packet of sound.mkv", "matroska", "aac", change=with_damaged_packet, columns={"damaged_audio_packets": 1}),
        heard(108, "a broken packet of sound.avi", "avi", "libmp3lame", change=with_damaged_packet, columns={"damaged_audio_packets": 1}),
        heard(109, "one channel turned over.mkv", "matroska", "pcm_s16le", layout="stereo", sound=stereo, columns={"audio_channel": "channel 0"}),
        heard(110, "one channel silent.mkv", "matroska", "pcm_s16le", layout="stereo", sound=left, columns={"audio_channel": "channel 0"}),
        heard(111, "camcorder MP3.avi", "avi", "libmp3lame", columns={"audio_codec": "mp3float"}),
        heard(112, "DVD rip.avi", "avi", "ac3", columns={"audio_codec": "ac3"}),
        heard(113, "editor's sound.mov", "mov", "pcm_s24le"),
        heard(114, "web call.mp4", "mp4", "libopus"),
        heard(115, "old phone.3gp", "3gp", "aac", 16_000, pictures="mpeg4"),
        heard(116, "MP3 in it.mp4", "mp4", "libmp3lame"),
        heard(117, "lossless.mov", "mov", "alac"),
        heard(118, "lossless.mkv", "matroska", "flac"),
        heard(119, "cinema.mkv", "matroska", "eac3", layout="5.1", sound=np.tile(bursts(FRAMES / 16), (6, 1)), columns={"audio_channels": 6}),
        heard(120, "eight channels.mkv", "matroska", "aac", layout="7.1", sound=np.tile(bursts(FRAMES / 16), (8, 1)), columns={"audio_channels": 8}),
        heard(121, "broadcast.ts", "mpegts", "mp2", pictures="mpeg2video", columns={"video_codec": "mpeg2video"}),
        heard(122, "programme.mpg", "mpeg", "mp2", columns={"container": "mpeg"}),
        heard(123, "browser's recording.webm", "webm", "libopus", columns={"video_codec": "vp8"}),
        heard(124, "browser's recording.ogv", "ogg", "libopus", pictures="libvpx", columns={"container": "ogg"}),
        heard(125, "Windows.asf", "asf", "libmp3lame", pictures="msmpeg4"),
        heard(126, "nut.nut", "nut", "aac"),
        heard(127, "screen recording.flv", "flv", "libmp3lame", 44_100),
    ]  # fmt: skip


def chosen_tracks() -> list[ForeignClip]:
    """Several tracks, of which one is heard."""
    voice = bursts(FRAMES / 16, 16_000)
    return [
        several(130, "silent first track.mkv", quiet(), voice, audio_tracks=2, audio_track=1, audio_choice="sounding"),
        several(131, "default second.mkv", voice[::-1].copy(), voice, default=1, audio_track=1, audio_choice="default"),
        several(132, "two voices.mkv", voice, voice[::-1].copy(), audio_track=0, audio_choice="first"),
        several(133, "two silent tracks.mkv", quiet(), quiet(), audio_tracks=2, audio_track=0),
    ]


def shown_pictures() -> list[ForeignClip]:
    """Trims, shapes, colours, transparency, and what else encoders write."""
    interlaced = {"flags": "+ildct+ilme", "x264-params": "interlaced=1"}
    quiet265 = {"x265-params": "log-level=none"}
    trim = lambda frames: trimmed(encode_clip(np.concatenate([frames_of(1, 9), frames]), 16), 9 / 16)  # noqa: E731
    key_frames = {"g": "3", "bf": "0", "crf": "12"}
    end = lambda frames: end_cut_off(film(np.concatenate([frames, frames]), "mp4", options=key_frames), 0.5)  # noqa: E731
    clear = lambda container, codec, pixels: lambda frames: film(over_magenta(frames), container, codec, pixels)  # noqa: E731
    return [
        shown(140, "phone's trim of the start.mp4", trim, frames=25),
        shown(141, "phone's trim of the end.mp4", end, frames=25),
        ForeignClip("HDV.mkv", written(lambda: film(frames_of(142), aspect=Fraction(4, 3))), (USABLE,), {"width": 85, "height": 64}),
        ForeignClip("PAL wide.mkv", written(lambda: film(frames_of(143), aspect=Fraction(64, 45))), (USABLE,), {"width": 91, "height": 64}),
        ForeignClip("turned and not square.mp4", written(lambda: film(frames_of(144), "mp4", aspect=Fraction(3, 2), rotate=90)), (USABLE,), {"width": 64, "height": 96, "rotation": 270}),
        ForeignClip("HD without a word on colour.mkv", written(lambda: high_definition(145)), (USABLE,), {"width": 1280, "height": 720}),
        shown(146, "ProRes with alpha.mov", clear("mov", "prores_ks", "yuva444p10le")),
        shown(147, "animation with alpha.mov", clear("mov", "qtrle", "argb")),
        shown(148, "PNG with alpha.mov", clear("mov", "png", "rgba")),
        shown(149, "woven.mkv", lambda frames: film(frames, pixels="yuv420p", options=interlaced), interlaced=True),
        shown(150, "four two two.mkv", coded("matroska", "libx264", "yuv422p"), pixel_format="yuv422p"),
        shown(151, "four four four.mkv", coded("matroska", "libx264", "yuv444p"), pixel_format="yuv444p"),
        shown(152, "ten bits four two two.mkv", coded("matroska", "libx264", "yuv422p10le"), bit_depth=10),
        shown(153, "twelve bits.mkv", coded("matroska", "libx265", "yuv420p12le", options=quiet265), bit_depth=12),
        shown(154, "HEVC.mp4", coded("mp4", "libx265", "yuv420p", options=quiet265), video_codec="hevc"),
        shown(155, "AV1.mp4", coded("mp4", "libsvtav1", "yuv420p", options={"svtav1-params": "lp=1", "preset": "12", "crf": "20"}), 9.0),
        shown(156, "VP9.webm", coded("webm", "libvpx-vp9", "yuv420p", options={"crf": "20", "b": "0"}), 9.0, video_codec="vp9"),
        shown(157, "full range.mkv", coded("matroska", "mjpeg", "yuvj420p", options={"qmin": "2", "qmax": "2"}), 8.0),
        shown(158, "RGB.mkv", coded("matroska", "libx264rgb", "rgb24"), pixel_format="gbrp"),
        shown(159, "ProRes.mov", coded("mov", "prores_ks", "yuv422p10le"), video_codec="prores"),
        shown(160, "archive.mkv", coded("matroska", "ffv1", "yuv420p"), video_codec="ffv1"),
        shown(161, "huffyuv.avi", coded("avi", "huffyuv", "yuv422p")),
        shown(162, "raw.avi", coded("avi", "rawvideo", "yuv420p"), video_codec="rawvideo"),
        shown(163, "raw.y4m", coded("yuv4mpegpipe", "rawvideo", "yuv420p"), container="yuv4mpegpipe"),
        shown(164, "MPEG-4.mp4", coded("mp4", "mpeg4", "yuv420p", options={"qmin": "2", "qmax": "2"}), video_codec="mpeg4"),
        shown(165, "motion JPEG.mov", coded("mov", "mjpeg", "yuvj422p", options={"qmin": "2", "qmax": "2"}), 8.0),
        shown(166, "wmv2.asf", coded("asf", "wmv2", "yuv420p", options={"qmin": "2", "qmax": "2"})),
        shown(167, "vp8.ivf", coded("ivf", "libvpx", "yuv420p", options={"crf": "4", "b": "2M"}), container="ivf"),
        shown(168, "five a second.mkv", lambda frames: muxed(frames[::3], rate=5, times=list(range(0, 1650, 200))), 12.0),
        ForeignClip("bare stream.hevc", written(lambda: muxed(frames_of(169, FRAMES), "hevc", "libx265", options=quiet265)), (USABLE,), {"container": "hevc"}),
        shown(170, "grey.mkv", coded("matroska", "ffv1", "gray"), 60.0, pixel_format="gray"),
        shown(171, "PNG in it.mov", coded("mov", "png", "rgb24"), 1.0),
    ]  # fmt: skip


def refused() -> list[ForeignClip]:
    """What is refused, and says so."""
    alpha = {"auto-alt-ref": "0"}
    return [
        ForeignClip("sticker.webm", written(lambda: film(over_magenta(frames_of(180)), "webm", "libvpx-vp9", "yuva420p", options=alpha)), ("transparent",)),
        ForeignClip("photograph.heic", written(picture_of_a_phone), ("no_video",)),
        ForeignClip("voice.aac", written(lambda: sound_file("adts", "aac", film=False).data), ("no_video",)),
        ForeignClip("song.mp3", written(lambda: sound_file("mp3", "libmp3lame", film=False).data), ("no_video",)),
    ]  # fmt: skip


def foreign_clips() -> list[ForeignClip]:
    """All of them; content is different in each, so that none is a duplicate."""
    formats = [("mono", 48_000), ("stereo", 44_100), ("5.1", 48_000)]
    changes = [
        ForeignClip(f"sound becomes {layout} at {rate}.ts", written(lambda n=n, second=second: changing(190 + n, second)), (USABLE,), {"has_audio": True})
        for n, second in enumerate(formats)
        for layout, rate in [second]
    ]  # fmt: skip
    return [*timed_sound(), *chosen_tracks(), *shown_pictures(), *changes, *refused()]
