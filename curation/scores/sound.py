"""Sound: how loud it is, how much of the time there is any, and its envelope at the video rate."""

import numpy as np

VERSION = "1"
SILENT_DB = -100.0
AUDIBLE_DB = -45.0
WINDOW_SECONDS = 0.02
ENVELOPE_HALF_SECONDS = 0.025


def audio_rms_db(audio: np.ndarray) -> float:
    """Loudness of `(S,)` samples in [-1, 1] in dB relative to full scale, not below -100."""
    rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return float(20 * np.log10(max(rms, 10 ** (SILENT_DB / 20))))


def sound_share(audio: np.ndarray, sample_rate: int) -> float:
    """Share in [0, 1] of 20 ms windows louder than -45 dB. It hears energy only: music counts like speech."""
    size = round(WINDOW_SECONDS * sample_rate)
    windows = audio[: len(audio) // size * size].reshape(-1, size)
    return float(np.mean([audio_rms_db(window) > AUDIBLE_DB for window in windows])) if len(windows) else 0.0


def envelope(audio: np.ndarray, frames: int, fps: float, sample_rate: int) -> np.ndarray:
    """`(frames,)` RMS of the 50 ms about each frame's centre, for `(S,)` samples that start with frame 0."""
    half = round(ENVELOPE_HALF_SECONDS * sample_rate)
    centres = np.round((np.arange(frames) + 0.5) / fps * sample_rate).astype(int)
    padded = np.pad(audio.astype(np.float64), (half, half + max(0, int(centres[-1]) - len(audio))))
    return np.array([np.sqrt(np.mean(padded[centre : centre + 2 * half] ** 2)) for centre in centres])
