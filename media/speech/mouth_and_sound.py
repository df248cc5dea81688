"""Does a mouth move with the sound: the sound's envelope at the rate of the pictures, correlation, and lag. It is no SyncNet."""

import numpy as np

HALF_SECONDS = 0.025  # of the window about a frame's centre
FEWEST = 8  # frames; fewer say nothing about correlation
STANDING = 1e-3  # standard deviation of what does not move, in units of either side


def envelope(audio: np.ndarray, frames: int, fps: float, sample_rate: int) -> np.ndarray:
    """Measure `(frames,)` RMS of the 50 ms about each frame's centre, for `(S,)` samples that start with frame 0."""
    half = round(HALF_SECONDS * sample_rate)
    centres = np.round((np.arange(frames) + 0.5) / fps * sample_rate).astype(int)
    padded = np.pad(audio.astype(np.float64), (half, half + max(0, int(centres[-1]) - len(audio))))
    return np.array([np.sqrt(np.mean(padded[centre : centre + 2 * half] ** 2)) for centre in centres])


def correlation(first: np.ndarray, second: np.ndarray, fewest: int = FEWEST, standing: float = STANDING) -> float:
    """Pearson correlation of `(T,)` and `(T,)` over the frames in which neither is NaN.

    Args:
        first, second: such as the mouth's opening and the sound's envelope.
        fewest: frames; with fewer it is not defined.
        standing: standard deviation below which a side does not move, and it is not defined.

    Returns:
        NaN where it is not defined.
    """
    seen = np.isfinite(first) & np.isfinite(second)
    x, y = first[seen], second[seen]
    if len(x) < fewest or x.std() < standing or y.std() < standing:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def lag(opening: np.ndarray, heard: np.ndarray, lags: int, fewest: int = FEWEST, standing: float = STANDING) -> float:
    """Frames by which `(T,)` opening comes after `(T,)` envelope, the best of -lags..lags by correlation; NaN where undefined."""
    found = lag_correlations(opening, heard, lags, fewest, standing)
    return float("nan") if np.isnan(found).all() else float(np.nanargmax(found) - lags)


def lag_correlations(
    opening: np.ndarray, heard: np.ndarray, lags: int, fewest: int = FEWEST, standing: float = STANDING
) -> np.ndarray:
    """`(2 * lags + 1,)` correlations of `(T,)` opening and `(T,)` envelope with the opening late by -lags..lags frames; NaN where undefined."""
    shifts = range(-lags, lags + 1)
    return np.array([correlation(*_shifted(opening, heard, shift), fewest, standing) for shift in shifts])


def _shifted(opening: np.ndarray, heard: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    length = len(opening) - abs(shift)
    if length <= 0:
        return opening[:0], heard[:0]
    return (opening[shift:], heard[:length]) if shift >= 0 else (opening[:length], heard[-shift:])
