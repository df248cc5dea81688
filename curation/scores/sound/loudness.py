"""Loudness as people hear it, clipping, and how far speech stands above the noise between its words."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.sound.signal import window_levels
from media.audio.meter import CLIPPING, Clipping
from profiles.scores import LoudnessConfig, ScoresConfig

COLUMNS = ("loudness_lufs", "clipping_share", "snr_db")
BLOCK_SECONDS, HOP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0  # ITU-R BS.1770-4, annex 1
# The two stages of K-weighting as analogue prototypes: (gain dB, Q, Hz). At 48 kHz they give the standard's own
# coefficients; the standard tabulates no other rate.
HEAD, LOW_CUT = (
    (3.999843853973347, 0.7071752369554193, 1681.9744509555319),
    (0.0, 0.5003270373238773, 38.13547087613982),
)


def loudness_lufs(audio: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness of `(S,)` mono samples in [-1, 1] (ITU-R BS.1770-4); NaN below 0.4 s or in silence."""
    weighted = _k_weighted(audio, sample_rate)
    size, hop = round(BLOCK_SECONDS * sample_rate), round(HOP_SECONDS * sample_rate)
    if len(weighted) < size:
        return float("nan")
    sums = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    starts = np.arange(0, len(weighted) - size + 1, hop)
    power = np.maximum(sums[starts + size] - sums[starts], 0) / size
    loud = power[_level(power) > ABSOLUTE_GATE]
    if not len(loud):
        return float("nan")
    return float(_level(loud[_level(loud) > _level(loud.mean()) + RELATIVE_GATE].mean()))


def _level(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-12))


def _k_weighted(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    from scipy.signal import lfilter

    weighted = audio.astype(np.float64)
    for stage, (gain, quality, frequency) in enumerate((HEAD, LOW_CUT)):
        k = np.tan(np.pi * frequency / sample_rate)
        high = 10 ** (gain / 20)
        middle = high**0.499666774155
        a0 = 1 + k / quality + k * k
        shelf = [
            (high + middle * k / quality + k * k) / a0,
            2 * (k * k - high) / a0,
            (high - middle * k / quality + k * k) / a0,
        ]
        b = shelf if stage == 0 else [1.0, -2.0, 1.0]
        weighted = lfilter(b, [1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0], weighted)
    return weighted


def clipping_share(audio: np.ndarray, clipping: Clipping = CLIPPING) -> float:
    """Share in [0, 1] of `(S,)` samples that are clipped."""
    return clipping.count(audio) / len(audio) if len(audio) else 0.0


def clipping_of(scores: ScoresConfig) -> Clipping:
    """What the profile takes for clipped sound."""
    return Clipping(scores.loudness.clip_level, scores.loudness.clip_run) if scores.loudness else CLIPPING


def snr_db(audio: np.ndarray, sample_rate: int) -> float:
    """Level of the loud windows over the quiet ones: 90th over 10th percentile of 20 ms levels, less the noise in both.

    The quiet windows are the noise floor only where the speaker pauses; sound without pauses reads low. NaN for less
    than ten windows or all silence, at most 60.
    """
    levels = window_levels(audio, sample_rate)
    if len(levels) < 10 or levels.max() <= -99.0:
        return float("nan")
    quiet, loud = 10 ** (np.percentile(levels, [10, 90]) / 10)
    return float(np.clip(10 * np.log10(max(loud - quiet, 1e-12) / max(quiet, 1e-12)), -20.0, 60.0))


def score(material: Material, config: LoudnessConfig) -> Values:
    """The three columns; NaN without sound. Clipping is judged on the file's own channels at their own rate: a mix hides it, and
    resampling rounds it off."""
    audio, sound, rate = material.audio, material.sound, material.bench.video.sample_rate
    if audio is None:
        return without_meaning(*COLUMNS)
    clipping = Clipping(config.clip_level, config.clip_run)
    return {
        "loudness_lufs": loudness_lufs(audio, rate),
        "clipping_share": sound.clipped_share if sound else clipping_share(audio, clipping),
        "snr_db": snr_db(audio, rate),
    }


LOUDNESS = Score("loudness", "2", floats(*COLUMNS), ("audio",), score)
