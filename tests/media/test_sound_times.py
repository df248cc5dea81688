"""Sound stands where its own times say: gaps are silence, late sound is late, and a film's sound and pictures share a clock."""

import numpy as np
import pytest

from media import decode_clip, probe_clip, read_audio
from tests.media.sound_files import errors_ms, sound_file

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
]
GAP = (1.0, 1.5)


@pytest.mark.parametrize(
    ("container", "codec", "rate"), [*TIMED, ("mov", "pcm_s16le", 48_000), ("avi", "pcm_s16le", 48_000)]
)
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
