"""Sound stands where its own times say: gaps are silence, late sound is late, and a film's sound and pictures share a clock."""

import io
import wave
from contextlib import suppress

import numpy as np
import pytest
from scipy.signal import resample_poly

from media import MediaError, Span, decode_clip, encode_clip, probe_clip, read_audio
from tests.media.sound_files import SoundFile, bursts, errors_ms, sound_file, with_damaged_packet

# Containers that keep the time of each packet, and codecs of all kinds in them.
TIMED = [
    ("mp4", "aac", 48_000),
    ("mp4", "libopus", 48_000),
    ("mp4", "libmp3lame", 48_000),
    ("matroska", "aac", 48_000),
    ("matroska", "libopus", 48_000),
    ("matroska", "flac", 48_000),
    ("matroska", "pcm_s16le", 48_000),
    ("webm", "libopus", 48_000),
    ("mpegts", "aac", 48_000),
    ("mpegts", "mp2", 48_000),
    ("mpegts", "ac3", 48_000),
    ("flv", "aac", 44_100),
    ("flv", "libmp3lame", 44_100),
    ("matroska", "libmp3lame", 16_000),
    ("matroska", "eac3", 48_000),
    ("mov", "alac", 48_000),
    ("mpegts", "libopus", 48_000),
    ("mpeg", "mp2", 48_000),
    ("3gp", "aac", 16_000),
    ("nut", "aac", 48_000),
]
# Those that know no gap: packets or samples stand one behind the other. AVI says nothing of what the encoder put in front.
COUNTED = [
    ("mov", "pcm_s16le", 48_000),
    ("avi", "pcm_s16le", 48_000),
    ("avi", "libmp3lame", 48_000),
    ("avi", "libmp3lame", 16_000),
    ("avi", "ac3", 48_000),
    ("avi", "aac", 48_000),
]
GAP = (1.0, 1.5)


@pytest.mark.parametrize(("container", "codec", "rate"), [*TIMED, *COUNTED])
def test_sound_without_a_gap_is_on_time(container, codec, rate):
    file = sound_file(container, codec, rate)
    clip = decode_clip(file.data, 16.0)
    errors = errors_ms(clip.audio, file)
    assert len(errors) == 7 and np.abs(errors).max() <= 0.5, errors
    assert clip.sound.filled_seconds == 0


@pytest.mark.parametrize(("container", "codec", "rate"), TIMED)
def test_after_half_a_second_without_packets_sound_is_on_time(container, codec, rate):
    """Counted by samples everything after the gap came half a second early."""
    file = sound_file(container, codec, rate, gap=GAP)
    clip = decode_clip(file.data, 16.0)
    errors = errors_ms(clip.audio, file, gap=GAP)
    assert len(errors) >= 5 and np.abs(errors).max() <= 1.0, errors
    assert np.abs(clip.audio[int(1.15 * 16_000) : int(1.4 * 16_000)]).max() < 1e-3, "a gap is silence"
    assert clip.sound.filled_seconds == pytest.approx(0.5, abs=0.13)
    assert probe_clip(file.data).sound.filled_seconds == pytest.approx(clip.sound.filled_seconds, abs=0.01)


@pytest.mark.parametrize("muxer", [{}, {"movflags": "frag_keyframe+empty_moov"}])
def test_sound_that_begins_late_is_late(muxer):
    """In a fragmented mp4 the first piece says 0.0 and the second jumps."""
    file = sound_file("mp4", "aac", late=0.5, muxer=muxer)
    errors = errors_ms(decode_clip(file.data, 16.0).audio, file, late=0.5)
    assert len(errors) == 6 and np.abs(errors).max() <= 1.0, errors


BARE = [
    ("adts", "aac", 48_000, 128),  # its encoder's delay is in no header; its last frame is full
    ("adts", "aac", 16_000, 128),
    ("ac3", "ac3", 48_000, 512),
    ("mp3", "libmp3lame", 48_000, 0),
    ("mp3", "libmp3lame", 16_000, 0),
    ("mp4", "libopus", 48_000, 0),
    ("ogg", "libopus", 48_000, 0),
    ("flac", "flac", 48_000, 0),
    ("wav", "pcm_s16le", 48_000, 0),
    ("ipod", "aac", 44_100, 0),
]


@pytest.mark.parametrize(("container", "codec", "rate", "beyond"), BARE)
def test_a_sound_file_begins_with_its_first_sample(container, codec, rate, beyond):
    file = sound_file(container, codec, rate, film=False)
    heard = read_audio(file.data)
    assert np.abs(errors_ms(heard, file)).max() == 0
    assert 0 <= len(heard) - 48_000 <= beyond


def test_sound_and_pictures_of_one_film_share_a_clock():
    """`--audio film --pose film`: the first sample of late sound is not the first picture's."""
    file = sound_file("matroska", "aac", late=0.5)
    heard = read_audio(file.data)
    assert np.abs(errors_ms(heard, file, late=0.5)).max() <= 1.0
    assert np.abs(heard[: int(0.55 * 16_000)]).max() < 0.01
    assert len(read_audio(file.data, max_seconds=1.0)) == 16_000


@pytest.mark.parametrize(
    ("container", "codec", "rate", "head"),
    [
        ("mp4", "aac", 48_000, 0),
        ("matroska", "libopus", 48_000, 0),
        ("matroska", "flac", 48_000, 0),
        ("mp4", "libmp3lame", 48_000, 0),
        ("mpegts", "aac", 48_000, 10),
        ("flv", "aac", 44_100, 0),
        ("avi", "libmp3lame", 48_000, 0),
        ("avi", "ac3", 48_000, 0),
    ],
)
def test_a_damaged_packet_is_counted_and_silent_and_what_follows_is_on_time(container, codec, rate, head):
    """One packet of some hundred refused the whole file; where packets are counted, what followed came early."""
    file = with_damaged_packet(sound_file(container, codec, rate), head=head)
    clip = decode_clip(file.data, 16.0)
    errors = errors_ms(clip.audio, file)
    assert np.abs(np.delete(errors, 3)).max() <= 1.0, errors  # the fourth burst may be the one that is gone
    assert probe_clip(file.data).sound.damaged_packets == clip.sound.damaged_packets
    assert clip.sound.damaged_packets >= 1 or clip.sound.filled_seconds > 0 or np.abs(errors).max() <= 1.0


@pytest.mark.parametrize(("container", "codec", "head"), [("adts", "aac", 10), ("flac", "flac", 0), ("ipod", "aac", 0)])
def test_a_damaged_packet_of_a_sound_file_is_counted_and_silent(container, codec, head):
    """The same for `--audio`."""
    file = with_damaged_packet(sound_file(container, codec, film=False), head=head)
    assert np.abs(np.delete(errors_ms(read_audio(file.data), file), 3)).max() <= 1.0


def test_a_track_of_which_more_than_a_tenth_does_not_decode_is_refused():
    file = sound_file("matroska", "aac")
    broken = file
    for after in np.arange(0.1, 2.5, 0.03):
        with suppress(ValueError):
            broken = with_damaged_packet(broken, after)
    with pytest.raises(MediaError, match=r"\d+ of \d+ packets are damaged") as caught:
        probe_clip(broken.data)
    assert caught.value.reason == "bad_audio"


@pytest.mark.parametrize("channels", [3, 7, 8, 10, 24])
def test_channels_without_names_are_mixed(channels):
    """PyAV reads past the end of frames with eight planes and more."""
    buffer, samples = io.BytesIO(), np.tile(bursts(), (channels, 1))
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((samples.T * 32_767).astype("<i2").tobytes())
    heard = read_audio(buffer.getvalue())
    assert np.abs(heard).max() == pytest.approx(0.7, abs=0.02)
    assert np.abs(errors_ms(heard, SoundFile(b"", bursts(), 48_000))).max() == 0


@pytest.mark.parametrize(("container", "codec"), [("matroska", "aac"), ("matroska", "libopus"), ("mov", "pcm_s16le")])
def test_seven_point_one_is_heard(container, codec):
    file = sound_file(container, codec, layout="7.1", sound=np.tile(bursts()[:, None], 8).T)
    clip = decode_clip(file.data, 16.0)
    assert np.abs(errors_ms(clip.audio, file)).max() <= 0.5 and clip.sound.channels == 8


def changing(*parts: tuple[str, int]) -> SoundFile:
    """A transport stream whose sound changes its layout and rate from part to part of 3 s."""
    files, joined = [sound_file("mpegts", "aac", rate, layout=layout) for layout, rate in parts], []
    for file in files:
        joined.append(resample_poly(file.sound, 48_000, file.rate)[: 3 * 48_000])
    return SoundFile(b"".join(file.data for file in files), np.concatenate(joined), 48_000)


@pytest.mark.parametrize("second", [("mono", 48_000), ("stereo", 44_100), ("5.1", 48_000)])
def test_sound_that_changes_its_format_is_heard_to_its_end(second):
    """The resampler, set up once, refused every frame of the second kind."""
    file = changing(("stereo", 48_000), second)
    clip = decode_clip(file.data, 16.0)
    levels = [np.abs(clip.audio[int(t * 16_000) : int((t + 0.05) * 16_000)]).max() for t in (0.5, 0.9, 3.5, 3.9)]
    assert min(levels) > 0.3 and len(clip.frames) >= 90


def test_the_sound_of_a_part_is_that_piece_of_the_whole():
    sound = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    data = encode_clip(np.zeros((48, 32, 32, 3), np.uint8), 16.0, sound, audio_bitrate=192_000)
    whole = read_audio(data)
    assert np.array_equal(read_audio(Span(data, 0.5, 1.25)), whole[8000:20_000])
    assert np.array_equal(read_audio(Span(data, 0.5, 1.25), max_seconds=0.25), whole[8000:12_000])
    assert np.array_equal(read_audio(Span(data, 2.5, 9.0)), whole[40_000:])  # no silence past its end
