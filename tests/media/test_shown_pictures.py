"""Pictures as players show them: square pixels, the right matrix, white under transparency, and no more than the edit list shows."""

import io
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from media import MediaError, decode_clip, encode_clip, probe_clip
from media.containers import video_stream

COLOURS = np.array(
    [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [254, 200, 160],
        [0, 200, 0],
        [128, 128, 128],
        [255, 255, 255],
        [10, 20, 30],
    ],
    np.uint8,
)
SIZES = [(64, 64), (360, 640), (480, 848), (576, 720), (720, 1280), (1080, 1920)]


def stripes(height: int, width: int) -> np.ndarray:
    return np.repeat(np.repeat(COLOURS[None], height, 0), width // 8, 1)


def stripe_colours(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return frame[height // 2, width // 16 :: width // 8].astype(int)


def film(
    frames: np.ndarray, container: str = "matroska", codec: str = "libx264", pixels: str = "yuv444p", **how
) -> bytes:
    """Frames as they are, with no colour tag; `aspect` of a pixel, `matrix` to convert with."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=16)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.options = {"threads": "1"} | how.get("options", {})
        if "aspect" in how:
            stream.codec_context.sample_aspect_ratio = how["aspect"]
        if "rotate" in how:
            stream.set_display_rotation(how["rotate"])
        for image in frames:
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image), format="rgba" if image.shape[-1] == 4 else "rgb24"
            )
            output.mux(stream.encode(picture.reformat(format=pixels, dst_colorspace=how.get("matrix", 5))))
        output.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_export_comes_back_within_two_levels_and_says_its_matrix(height, width, pixels):
    data = encode_clip(np.stack([stripes(height, width)] * 3), 16, pixel_format=pixels, crf=1)
    assert np.abs(stripe_colours(decode_clip(data, 16.0).frames[1]) - COLOURS).max() <= 2
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == (1 if height >= 720 else 5) and frame.color_range == 1
    assert frame.color_primaries == frame.color_trc == (1 if height >= 720 else 6)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_untagged_film_is_read_by_its_height(height, width):
    """Saturated red of an untagged 1080p film came out as 232 instead of 254."""
    data = film(np.stack([stripes(height, width)] * 3), matrix=1 if height >= 720 else 5, options={"qp": "1"})
    assert np.abs(stripe_colours(decode_clip(data, 16.0).frames[1]) - COLOURS).max() <= 3


ASPECTS = [
    (1080, 1440, Fraction(4, 3), (1920, 1080)),  # HDV
    (576, 720, Fraction(64, 45), (1024, 576)),  # PAL at 16:9
    (480, 720, Fraction(8, 9), (720, 540)),  # NTSC at 4:3
    (64, 64, Fraction(100, 1), (64, 64)),  # a broken header
]


@pytest.mark.parametrize(("height", "width", "aspect", "shown"), ASPECTS)
def test_pixels_that_are_not_square_are_shown_square(height, width, aspect, shown):
    """A disc stays a disc: its width over its height is 1 in what is read."""
    rows, columns = np.mgrid[0:height, 0:width]
    across = (columns - width / 2) * (float(aspect) if aspect < 4 else 1.0)
    disc = (np.hypot(across, rows - height / 2) < height / 4)[..., None] * np.full(3, 255, np.uint8)
    data = film(np.stack([disc] * 2), aspect=aspect)
    frame = decode_clip(data, 16.0).frames[0]
    assert frame.shape[1::-1] == shown
    probe = probe_clip(data)
    assert (probe.width, probe.height) == shown
    seen = frame[..., 0] > 127
    assert seen.any(axis=0).sum() / seen.any(axis=1).sum() == pytest.approx(1, abs=0.02)


def test_a_turned_film_has_its_pixels_made_square_before():
    data = film(np.zeros((2, 48, 64, 3), np.uint8), "mp4", aspect=Fraction(3, 2), rotate=90)
    assert decode_clip(data, 16.0).frames.shape[1:3] == (96, 48)
    assert (probe_clip(data).width, probe_clip(data).height) == (48, 96)


@pytest.mark.parametrize(
    ("container", "codec", "pixels"),
    [("mov", "qtrle", "argb"), ("mov", "png", "rgba"), ("mov", "prores_ks", "yuva444p10le")],
)
def test_what_is_transparent_is_white(container, codec, pixels):
    """Under the transparent left half lies magenta, which no player shows."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32] = (255, 0, 255, 0)
    picture[:, 32:] = (0, 128, 0, 255)
    frame = decode_clip(film(np.stack([picture] * 3), container, codec, pixels), 16.0).frames[1].astype(int)
    assert np.abs(frame[8:56, 4:28] - 255).max() <= 3
    assert np.abs(frame[8:56, 36:60] - (0, 128, 0)).max() <= 6


def test_transparent_vp9_is_refused_by_name():
    """FFmpeg's own decoder would show the magenta under it."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32] = (255, 0, 255, 0)
    data = film(np.stack([picture] * 3), "webm", "libvpx-vp9", "yuva420p", options={"auto-alt-ref": "0"})
    with pytest.raises(MediaError, match="without transparency") as caught:
        probe_clip(data)
    assert caught.value.reason == "transparent"


def trimmed(data: bytes, start: float) -> bytes:
    """A stream copy from the key frame before `start` on, times counted from `start`: what a phone's trim writes."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format="mp4") as output:
        picture = source.streams.video[0]
        copied = output.add_stream_from_template(picture)
        for packet in source.demux(picture):
            if packet.dts is None:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copied
            output.mux(packet)
    return buffer.getvalue()


def levels(count: int) -> np.ndarray:
    return np.broadcast_to(np.arange(30, 30 + 7 * count, 7)[:, None, None, None], (count, 64, 64, 3)).astype(np.uint8)


def test_a_lossless_trim_is_whole():
    """20 of 30 pictures are shown; the ten before them are in the file for the decoder alone."""
    data = trimmed(encode_clip(levels(30), 16), 10 / 16)
    probe = probe_clip(data)
    assert probe.frames == 20 and probe.duration == pytest.approx(20 / 16)
    shown = decode_clip(data, 16.0).frames[:, 32, 32, 0].astype(int)
    assert np.abs(shown - levels(30)[10:, 0, 0, 0]).max() <= 3


@pytest.mark.parametrize("between_key_frames", [3, 30])
def test_a_trim_of_the_end_is_whole(between_key_frames):
    """An edit list that ends early: the last 20 pictures are in the file and not shown."""
    options = {"g": str(between_key_frames), "bf": "0"}
    data = bytearray(film(levels(30), "mp4", options=options))
    duration = data.index(b"elst") + 12
    whole = int.from_bytes(data[duration : duration + 4], "big")
    data[duration : duration + 4] = (whole // 3).to_bytes(4, "big")
    assert probe_clip(bytes(data)).frames == len(decode_clip(bytes(data), 16.0).frames) == 10


def test_a_trim_that_is_cut_off_is_still_found():
    data = bytearray(
        trimmed(encode_clip(np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), np.uint8), 16), 10 / 16)
    )
    place = data.find(b"mdat")
    length = int.from_bytes(data[place - 4 : place], "big")
    data[place + length // 2 : place - 4 + length] = bytes(place - 4 + length - place - length // 2)
    with pytest.raises(MediaError) as caught:
        probe_clip(bytes(data))
    assert caught.value.reason in ("truncated", "damaged")


def test_a_tile_of_another_picture_is_no_film():
    """PyAV writes no file with such streams; a phone's HEIC holds its picture's tiles as them."""
    context = SimpleNamespace(width=64, height=64)
    tile, whole = (
        SimpleNamespace(disposition=d, codec_context=context, metadata={})
        for d in (Disposition.dependent, Disposition.default)
    )
    assert video_stream(SimpleNamespace(metadata={}, streams=SimpleNamespace(video=[tile, whole]))) is whole
    with pytest.raises(MediaError, match="no video stream"):
        video_stream(SimpleNamespace(metadata={}, streams=SimpleNamespace(video=[tile])))


def test_interlaced_pictures_are_marked():
    woven = film(
        np.zeros((4, 64, 64, 3), np.uint8),
        pixels="yuv420p",
        options={"flags": "+ildct+ilme", "x264-params": "interlaced=1"},
    )
    assert probe_clip(woven).interlaced
    assert not probe_clip(film(np.zeros((4, 64, 64, 3), np.uint8), pixels="yuv420p")).interlaced
