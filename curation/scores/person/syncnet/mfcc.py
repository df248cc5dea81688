"""Mel-frequency cepstral coefficients as SyncNet was trained on them: 13 every 10 ms (python_speech_features' defaults)."""

import numpy as np

WINDOW_SECONDS, STEP_SECONDS = 0.025, 0.01
FILTERS, COEFFICIENTS, LIFTER = 26, 13, 22
FFT = 512
PRE_EMPHASIS = 0.97


def mfcc(samples: np.ndarray, rate: int = 16_000) -> np.ndarray:
    """`(n, 13)` for `(S,)` samples of 16-bit size; coefficient 0 is the log of the window's energy.

    Args:
        samples: numbers in the range of int16, as the network saw them.
        rate: per second.
    """
    from scipy.fft import dct

    samples = samples.astype(np.float64)
    emphasised = np.append(samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1])
    power = np.abs(np.fft.rfft(_windows(emphasised, rate), FFT)) ** 2 / FFT
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(axis=1), tiny)
    bands = np.maximum(power @ _filters(rate).T, tiny)
    cepstra = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(energy)
    return cepstra


def _windows(samples: np.ndarray, rate: int) -> np.ndarray:
    size, step = round(WINDOW_SECONDS * rate), round(STEP_SECONDS * rate)
    count = 1 + max(0, -(-(len(samples) - size) // step))
    padded = np.pad(samples, (0, max(0, (count - 1) * step + size - len(samples))))
    return padded[np.arange(count)[:, None] * step + np.arange(size)]


def _filters(rate: int) -> np.ndarray:
    """`(26, 257)` triangles, evenly spaced in mel."""
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    bins = np.floor((FFT + 1) * edges / rate)
    k = np.arange(FFT // 2 + 1)
    filters = np.zeros((FILTERS, len(k)))
    for row, (left, middle, right) in enumerate(zip(bins[:-2], bins[1:-1], bins[2:], strict=True)):
        rising, falling = (k >= left) & (k < middle), (k >= middle) & (k < right)
        filters[row, rising] = (k[rising] - left) / (middle - left)
        filters[row, falling] = (right - k[falling]) / (right - middle)
    return filters
