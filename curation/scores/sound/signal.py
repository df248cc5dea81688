"""What sound scores share: loudness window by window, and samples as networks of sound hear them."""

import numpy as np

RATE = 16_000  # of the networks that hear speech, music and languages
SILENT_DB = -100.0
WINDOW_SECONDS = 0.02


def window_levels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Measure `(n,)` loudness in dB of each whole 20 ms window, not below -100."""
    size = round(WINDOW_SECONDS * sample_rate)
    windows = audio[: len(audio) // size * size].reshape(-1, size)
    power = np.mean(np.square(windows, dtype=np.float64), axis=1)
    return 10 * np.log10(np.maximum(power, 10 ** (SILENT_DB / 10)))


def at_16_khz(audio: np.ndarray | None, sample_rate: int) -> np.ndarray | None:
    """Resample `(S,)` samples to float32 at `RATE`; None without sound."""
    if audio is None or sample_rate == RATE:
        return audio
    from scipy.signal import resample_poly

    return resample_poly(audio, RATE, sample_rate).astype(np.float32)


def pieces(audio: np.ndarray, seconds: float) -> list[np.ndarray]:
    """Cut `(S,)` samples at 16 kHz into pieces of so many seconds; a last one of less than half is left out unless it is alone."""
    size = round(seconds * RATE)
    cut = [audio[start : start + size] for start in range(0, len(audio), size)]
    return [piece for i, piece in enumerate(cut) if i == 0 or len(piece) * 2 >= size]
