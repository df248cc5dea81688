"""Orientation, high dynamic range, parts of files, and one picture in memory at a time."""

import io
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc

from media import MediaError, Span, decode_clip, encode_clip, probe_clip
from media.pictures import display_matrix, rotation_of, upright


def corners(width: int = 64, height: int = 32) -> np.ndarray:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = image[height // 2 :, width // 2 :] = 255
    return image


def turned(degrees: int, mirror: bool) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv444p"
        stream.set_display_rotation(degrees, mirror)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_the_display_matrix_is_applied(degrees, mirror):
    """`set_display_rotation` turns counter-clockwise and mirrors after it."""
    expected = np.rot90(corners(), degrees // 90)
    expected = expected[:, ::-1] if mirror else expected
    data = turned(degrees, mirror)
    frames = decode_clip(data, 16.0).frames
    assert frames.shape[1:] == expected.shape
    assert np.abs(frames[2].astype(int) - expected).mean() < 6
    seen = []
    probe = probe_clip(data, lambda time, picture: seen.append(picture))
    assert (probe.width, probe.height) == expected.shape[1::-1] and probe.mirrored == mirror
    small = cv2.resize(expected, (48, 27), interpolation=cv2.INTER_AREA)
    assert np.abs(seen[2].astype(int) - small).mean() < 12 and len(seen) == 5


@pytest.mark.parametrize(
    "matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)]
)
def test_rotation_and_mirror_say_the_same_as_the_matrix(matrix):
    rotation, mirrored = rotation_of(matrix)
    image = corners()
    expected = np.rot90(image[:, ::-1] if mirrored else image, -rotation // 90)
    assert (upright(image, matrix) == expected).all()


def test_a_frame_that_says_nothing_is_upright():
    assert display_matrix(av.VideoFrame(16, 16, "rgb24")) == (1, 0, 0, 1)


def high_dynamic_range(code: float) -> bytes:
    """Flat grey of a PQ code value in [0, 1], 10 bits, BT.2020, narrow range."""
    buffer = io.BytesIO()
    colours = {
        "color_trc": ColorTrc.SMPTE2084,
        "color_primaries": ColorPrimaries.BT2020,
        "colorspace": 9,
        "color_range": 1,
    }
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx265", rate=16)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p10le", {"x265-params": "log-level=none"}
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        for number in range(5):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, level in zip(frame.planes, (round(64 + code * 876), 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, level, np.uint16).tobytes())
            for name, value in colours.items():
                setattr(frame, name, value)
            frame.pts, frame.time_base = number, Fraction(1, 16)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_high_dynamic_range_is_brought_to_the_screen():
    """BT.2408: the reference white of 203 cd/m2 is PQ code 0.58; undone, it would come out as mid grey (146)."""
    white = high_dynamic_range(0.58)
    assert probe_clip(white).hdr == "pq" and probe_clip(white).bit_depth == 10
    assert decode_clip(white, 16.0).frames.mean() > 235
    assert decode_clip(high_dynamic_range(0.0), 16.0).frames.mean() < 5


def test_a_part_of_a_file_is_the_same_frames_and_sound_as_of_the_whole():
    """12 s, so that both the near and the far part are asked for; the far one is sought."""
    rng = np.random.default_rng(0)
    levels = rng.integers(20, 235, 192)
    frames = np.broadcast_to(levels[:, None, None, None], (192, 32, 32, 3)).astype(np.uint8)
    sound = np.repeat(rng.uniform(-0.5, 0.5, 192), 1000).astype(np.float32)
    data = encode_clip(frames, 16, sound)
    whole = decode_clip(data, 16.0)
    for first, last in [(16, 33), (40, 57), (150, 167), (175, 192)]:
        part = decode_clip(Span(data, first / 16, last / 16), 16.0)
        assert np.array_equal(part.frames, whole.frames[first:last]), first
        difference = np.abs(part.audio - whole.audio[first * 1000 : last * 1000])
        assert part.audio.shape == (17_000,) and difference[200:].max() < 0.02, first


@pytest.mark.parametrize(
    ("container", "codec"),
    [("h264", "libx264"), ("mpegts", "libx264"), ("flv", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx")],
)
def test_a_part_is_read_of_files_that_cannot_be_sought_too(container, codec):
    """A bare stream of H.264 with a cut after 4 s was cut into shots, and none of the later ones could be decoded."""
    levels, buffer = np.random.default_rng(0).integers(30, 225, 112), io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25 if container == "h264" else 16)
        stream.width = stream.height = 32
        stream.pix_fmt, stream.gop_size, stream.options = "yuv420p", 12, {"threads": "1"}
        for level in levels:
            picture = np.full((32, 32, 3), level, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    whole = decode_clip(buffer.getvalue(), 16.0).frames
    last = len(whole) - 1
    part = decode_clip(Span(buffer.getvalue(), 66 / 16, last / 16), 16.0).frames
    assert np.array_equal(part, whole[66:last])


def test_frames_are_transformed_one_by_one():
    frames = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8)
    data, shapes = encode_clip(frames, 16), []

    def shrink(image: np.ndarray) -> np.ndarray:
        shapes.append(image.shape)
        return image[::2, ::2]

    small = decode_clip(data, 32.0, transform=shrink).frames
    assert np.array_equal(small, decode_clip(data, 32.0).frames[:, ::2, ::2])
    assert shapes == [(64, 64, 3)] * 9  # frames that are shown twice are converted once


def test_a_size_that_changes_needs_a_transform():
    parts = []
    for side in (32, 64):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=16)
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
            for _ in range(9):
                container.mux(
                    stream.encode(av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24"))
                )
            container.mux(stream.encode())
        parts.append(buffer.getvalue())
    with pytest.raises(MediaError) as caught:
        decode_clip(b"".join(parts), 16.0)
    assert caught.value.reason == "size_changes"
    assert decode_clip(b"".join(parts), 16.0, transform=lambda image: image[:16, :16]).frames.shape[1:] == (16, 16, 3)


def test_a_playlist_reads_no_other_file(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(encode_clip(np.zeros((20, 32, 32, 3), np.uint8), 16))
    for text in ("ffconcat version 1.0\nfile secret.mp4\n", "#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"):
        path = tmp_path / "clip.mp4"
        path.write_text(text)
        with pytest.raises(MediaError) as caught:
            probe_clip(path)
        assert caught.value.reason == "not_video"
