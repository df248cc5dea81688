"""One channel of many: never above full scale, never a voice lost, clipping judged before anything is mixed."""

import av
import numpy as np
import pytest

from media import decode_clip
from media.audio.downmix import speaker_shares
from media.audio.meter import Clipping
from tests.media.sound_files import sound_file

TIME = np.arange(48_000) / 48_000


def sine(peak: float, hertz: float = 440.0) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def heard(*channels: np.ndarray, layout: str = "stereo"):
    return decode_clip(sound_file("matroska", "pcm_s16le", sound=np.stack(channels), layout=layout).data, 16.0)


def peak(clip) -> float:
    return float(np.abs(clip.audio[1000:-1000]).max())


def test_stereo_that_is_not_clipped_is_not_clipped_as_one_channel():
    """Added up without a share, 0.9 in both channels read 1.27."""
    clip = heard(sine(0.9), sine(0.9))
    assert peak(clip) == pytest.approx(0.9, abs=0.01)
    assert clip.sound.channel == "mix" and clip.sound.clipped_share == 0


def test_a_clipped_channel_is_told_however_it_is_mixed():
    clip = heard(np.clip(sine(3.0), -1, 1), sine(0.9, 330.0))
    assert clip.sound.clipped_share > 0.5 and clip.sound.channel == "mix"
    assert peak(clip) < 1.0


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1", "4.0"])
def test_shares_add_up_to_one(layout):
    shares = speaker_shares(av.AudioLayout(layout))
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    for name, share in zip([c.name for c in av.AudioLayout(layout).channels], shares, strict=True):
        assert (share == 0) == (name == "LFE")


@pytest.mark.parametrize("other", [np.zeros(48_000, np.float32), -sine(0.5), -sine(0.4), 0.004 * sine(0.5, 50.0)])
def test_a_voice_is_not_lost_to_a_silent_channel_or_one_in_antiphase(other):
    clip = heard(sine(0.5), other)
    assert peak(clip) == pytest.approx(0.5, abs=0.01) and clip.sound.channel == "channel 0"


def test_somebody_who_says_little_in_the_other_channel_is_heard():
    """Her channel has a twentieth of the energy; to take the louder one alone would lose her."""
    guest = np.where((TIME > 0.5) & (TIME < 0.55), sine(0.5, 1000.0), 0).astype(np.float32)
    clip = heard(sine(0.5), guest)
    assert clip.sound.channel == "mix"
    spectrum = np.abs(np.fft.rfft(clip.audio[8_000:8_800]))
    assert spectrum[50] > 0.9 * spectrum[22], "1000 Hz beside 440 Hz in 50 ms"


def test_a_voice_in_the_middle_of_six_channels_is_as_loud_as_alone():
    silence = np.zeros(48_000, np.float32)
    clip = heard(silence, silence, sine(0.5), silence, silence, silence, layout="5.1")
    assert peak(clip) == pytest.approx(0.5, abs=0.01) and clip.sound.channel in ("FC", "channel 2")


def test_two_channels_that_differ_are_mixed():
    assert heard(sine(0.5), sine(0.5, 1000.0)).sound.channel == "mix"


def test_runs_at_full_scale_are_counted():
    assert Clipping().count(np.array([0, 1, 1, 1, 0, 1, 1, 0, -1, -1, -1, -1], np.float32)) == 7
