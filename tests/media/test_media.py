"""Files in and out: what goes in comes back, sound stays beside its pictures, and bad files say what is wrong."""

import io
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from media import MediaError, decode_clip, decode_frames, encode_clip, in_few_colours, probe_clip, write_atomically
from puppets import render


def _audio_only() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _variable_rate(levels: list[int], times_ms: list[int]) -> bytes:
    """Flat grey frames that appear at the given times."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "5", "bf": "0", "threads": "1"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, time in zip(levels, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_a_round_trip_keeps_frames_rate_and_sound():
    puppet = render(21)
    clip = decode_clip(encode_clip(puppet.frames, puppet.fps, puppet.audio), 16.0)
    assert clip.frames.shape == puppet.frames.shape and clip.frames.dtype == np.uint8
    assert np.abs(clip.frames.astype(float) - puppet.frames).mean() < 2.0
    assert clip.audio.shape == puppet.audio.shape and clip.audio.dtype == np.float32
    assert np.corrcoef(clip.audio, puppet.audio)[0, 1] > 0.95


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p"])
def test_encoding_the_same_clip_again_gives_the_same_bytes(pixel_format):
    """Content addresses hang on it. With x264's macroblock tree on, the bytes of clips this small vary with what was on
    the heap before, so the heap is stirred between the runs."""
    rng, heap, files = np.random.default_rng(0), [], set()
    puppet = render(50_000_001)
    for _ in range(8):
        heap = [rng.integers(0, 255, size, np.uint8) for size in rng.integers(1_000, 200_000, 20)]
        files.add(encode_clip(puppet.frames, 16, puppet.audio, pixel_format=pixel_format))
    assert len(files) == 1 and heap


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_sound_comes_back_without_a_single_sample_of_lag(seed):
    puppet = render(seed)
    heard = decode_clip(encode_clip(puppet.frames, puppet.fps, puppet.audio), 16.0).audio
    size = 2 * len(heard)
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(puppet.audio, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    assert (lag if lag < size // 2 else lag - size) == 0


def test_frames_come_back_in_order_and_at_their_time():
    levels = np.arange(25) * 10
    frames = np.broadcast_to(levels[:, None, None, None], (25, 64, 64, 3)).astype(np.uint8)
    clip = decode_clip(encode_clip(frames, 16), 16.0)
    assert np.abs(clip.frames.mean(axis=(1, 2, 3)) - levels).max() < 3


def test_another_rate_repeats_or_drops_frames_by_time():
    levels = np.arange(17) * 15
    frames = np.broadcast_to(levels[:, None, None, None], (17, 64, 64, 3)).astype(np.uint8)
    data = encode_clip(frames, 16)
    half = decode_clip(data, 8.0).frames.mean(axis=(1, 2, 3))
    double = decode_clip(data, 32.0).frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(half, levels[0:16:2], atol=3)
    np.testing.assert_allclose(double, np.repeat(levels, 2), atol=3)


def test_variable_frame_rate_is_brought_to_a_constant_one():
    # Black until 0.5 s, grey until 0.75 s, white from there: the average rate alone would misplace both changes.
    data = _variable_rate([0, 0, 128, 128, 255, 255], [0, 100, 500, 700, 750, 1000])
    levels = decode_clip(data, 16.0).frames.mean(axis=(1, 2, 3))
    assert (levels[:8] < 10).all() and (np.abs(levels[8:12] - 128) < 10).all() and (levels[12:16] > 245).all()


def test_odd_sizes_survive():
    frames = np.random.default_rng(0).integers(0, 255, (5, 63, 65, 3), np.uint8)
    data = encode_clip(frames, 16)
    probe = probe_clip(data)
    assert (probe.width, probe.height) == (65, 63) and decode_clip(data, 16.0).frames.shape == (5, 63, 65, 3)


def test_the_browsers_pixel_format_is_written_when_asked():
    data = encode_clip(np.zeros((5, 64, 64, 3), np.uint8), 16, np.zeros(5000, np.float32), pixel_format="yuv420p")
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"


def test_probe_reports_what_the_file_holds():
    puppet = render(21)
    probe = probe_clip(encode_clip(puppet.frames, 16, puppet.audio))
    assert probe.frames == 25 and probe.fps == pytest.approx(16) and probe.has_audio
    assert probe.duration == pytest.approx(25 / 16, abs=0.01)
    assert not probe_clip(encode_clip(puppet.frames[:5], 16)).has_audio


def test_a_silent_file_has_no_sound_and_short_sound_is_padded():
    frames = np.zeros((16, 64, 64, 3), np.uint8)
    assert decode_clip(encode_clip(frames, 16), 16.0).audio is None
    assert decode_clip(encode_clip(frames, 16, np.zeros(4000, np.float32)), 16.0).audio.shape == (16_000,)


def test_decoding_stops_at_max_seconds():
    frames = np.zeros((48, 64, 64, 3), np.uint8)
    assert len(decode_clip(encode_clip(frames, 16), 16.0, max_seconds=1.0).frames) in (16, 17)


@pytest.mark.parametrize("read", [probe_clip, lambda data: decode_clip(data, 16.0)], ids=["probe", "decode"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "empty"),
        (lambda: b"This is a letter, not a film.\n" * 50, "not_video"),
        (_audio_only, "no_video"),
        (lambda: encode_clip(render(21).frames, 16, render(21).audio)[:3000], "not_video"),
    ],
    ids=["zero bytes", "text as mp4", "audio only", "truncated before the index"],
)
def test_bad_files_say_what_is_wrong(read, make, reason):
    with pytest.raises(MediaError) as caught:
        read(make())
    assert caught.value.reason == reason and len(str(caught.value)) > 20


def test_a_file_cut_in_its_pictures_is_truncated(tmp_path):
    """With the index in front (as phones and the web write it) the header still promises every frame."""
    source, path = encode_clip(render(21).frames, 16, crf=1), tmp_path / "faststart.mp4"
    with av.open(io.BytesIO(source)) as read, av.open(path, "w", options={"movflags": "faststart"}) as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    whole = path.read_bytes()
    assert probe_clip(whole).frames == 25
    with pytest.raises(MediaError) as caught:
        probe_clip(whole[: len(whole) // 2])
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("name", ["with space.mp4", 'it\'s "q";rm.mp4', "-leading.mp4", "a:b%20.mp4"])
def test_odd_names_are_only_names(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encode_clip(np.zeros((5, 64, 64, 3), np.uint8), 16))
    assert probe_clip(path).frames == 5


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(MediaError) as caught:
        probe_clip(tmp_path / "nothing.mp4")
    assert caught.value.reason == "unreadable"


def test_writing_makes_parents_and_replaces(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(path.parent) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_contact_sheet_in_few_colours_looks_the_same_in_half_the_bytes():
    rows, columns = np.mgrid[0:200, 0:200]
    noise = np.random.default_rng(0).integers(0, 12, (200, 200, 3))
    before = (np.stack([rows, columns, np.full_like(rows, 90)], axis=2) + noise).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(before).save(buffer, format="PNG")
    small = in_few_colours(buffer.getvalue())
    after = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"))
    assert len(small) < len(buffer.getvalue()) / 2
    assert after.shape == before.shape and np.abs(after.astype(int) - before).mean() < 8


def test_frames_alone_are_those_of_the_clip_and_its_sound_is_not_listened_to(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (10, 32, 48, 3), np.uint8)
    (tmp_path / "clip.mp4").write_bytes(encode_clip(frames, 10.0, np.zeros(16_000, np.float32)))
    whole = decode_clip(tmp_path / "clip.mp4", 5.0, max_seconds=0.6, transform=lambda image: image[:16])
    assert whole.audio is not None and whole.frames.shape[1:] == (16, 48, 3)
    monkeypatch.setattr("media.decode.sound_of_span", None)
    alone = decode_frames(tmp_path / "clip.mp4", 5.0, 0.6, lambda image: image[:16])
    np.testing.assert_array_equal(alone, whole.frames)
