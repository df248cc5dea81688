"""Sound: how loud it is, how much of the time there is any, and its envelope at the video rate."""

from typing import TYPE_CHECKING

import numpy as np

from profiles.scores import SoundConfig

if TYPE_CHECKING:
    from curation.scores.clip_media import Material
    from curation.scores.contract import Values

SILENT_DB = -100.0
AUDIBLE_DB = -45.0
WINDOW_SECONDS = 0.02
ENVELOPE_HALF_SECONDS = 0.025


def audio_rms_db(audio: np.ndarray) -> float:
    """Loudness of `(S,)` samples in [-1, 1] in dB relative to full scale, not below -100."""
    rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return float(20 * np.log10(max(rms, 10 ** (SILENT_DB / 20))))


def sound_share(audio: np.ndarray, sample_rate: int, audible_db: float = AUDIBLE_DB) -> float:
    """Share in [0, 1] of 20 ms windows louder than `audible_db`. It hears energy only: music counts like speech."""
    levels = window_levels(audio, sample_rate)
    return float((levels > audible_db).mean()) if len(levels) else 0.0


def window_levels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """`(n,)` loudness in dB of each whole 20 ms window, not below -100."""
    size = round(WINDOW_SECONDS * sample_rate)
    windows = audio[: len(audio) // size * size].reshape(-1, size)
    power = np.mean(np.square(windows, dtype=np.float64), axis=1)
    return 10 * np.log10(np.maximum(power, 10 ** (SILENT_DB / 10)))


def envelope(audio: np.ndarray, frames: int, fps: float, sample_rate: int) -> np.ndarray:
    """`(frames,)` RMS of the 50 ms about each frame's centre, for `(S,)` samples that start with frame 0."""
    half = round(ENVELOPE_HALF_SECONDS * sample_rate)
    centres = np.round((np.arange(frames) + 0.5) / fps * sample_rate).astype(int)
    padded = np.pad(audio.astype(np.float64), (half, half + max(0, int(centres[-1]) - len(audio))))
    return np.array([np.sqrt(np.mean(padded[centre : centre + 2 * half] ** 2)) for centre in centres])


def score(material: "Material", config: SoundConfig) -> "Values":
    """Columns `has_audio` (the container has a sound stream), `audio_rms_db`, `sound_share`."""
    audio = material.audio
    if audio is None:
        return {"has_audio": False, "audio_rms_db": float("nan"), "sound_share": float("nan")}
    return {
        "has_audio": True,
        "audio_rms_db": audio_rms_db(audio),
        "sound_share": sound_share(audio, material.bench.video.sample_rate, config.audible_db),
    }
