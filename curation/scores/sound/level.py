"""Sound: how loud it is, and how much of the time there is any."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from curation.scores.sound.signal import SILENT_DB, window_levels
from profiles.scores import SoundConfig

AUDIBLE_DB = -45.0


def audio_rms_db(audio: np.ndarray) -> float:
    """Measure the loudness of `(S,)` samples in [-1, 1] in dB relative to full scale, not below -100."""
    rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return float(20 * np.log10(max(rms, 10 ** (SILENT_DB / 20))))


def sound_share(audio: np.ndarray, sample_rate: int, audible_db: float = AUDIBLE_DB) -> float:
    """Measure the share in [0, 1] of 20 ms windows louder than `audible_db`. It hears energy only: music counts like speech."""
    levels = window_levels(audio, sample_rate)
    return float((levels > audible_db).mean()) if len(levels) else 0.0


def score(material: Material, config: SoundConfig) -> Values:
    """Columns `has_audio` (the container has a sound stream), `audio_rms_db`, `sound_share`."""
    audio = material.audio
    if audio is None:
        return {"has_audio": False, "audio_rms_db": float("nan"), "sound_share": float("nan")}
    return {
        "has_audio": True,
        "audio_rms_db": audio_rms_db(audio),
        "sound_share": sound_share(audio, material.bench.video.sample_rate, config.audible_db),
    }


SOUND = Score("sound", "2", {"has_audio": "bool", **floats("audio_rms_db", "sound_share")}, ("audio",), score)
