"""Does the mouth move with the sound: correlation at lag 0, and the lag at which it is best."""

import numpy as np

VERSION = "1"
LAGS = 5
FEWEST = 8  # frames; fewer say nothing about correlation
STANDING = 1e-3  # standard deviation (pixels, or full scale) of what does not move


def mouth_audio_correlation(opening: np.ndarray, envelope: np.ndarray) -> float:
    """Pearson correlation of `(T,)` mouth opening (NaN where unseen) and `(T,)` sound envelope; NaN where undefined."""
    seen = np.isfinite(opening) & np.isfinite(envelope)
    x, y = opening[seen], envelope[seen]
    if len(x) < FEWEST or x.std() < STANDING or y.std() < STANDING:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def mouth_visibility(opening: np.ndarray) -> float:
    """Share in [0, 1] of frames in which the mouth is seen: where `(T,)` opening is not NaN. A correlation over fewer
    frames is chance more often."""
    return float(np.isfinite(opening).mean())


def mouth_audio_lag_frames(opening: np.ndarray, envelope: np.ndarray, lags: int = LAGS) -> float:
    """Frames by which the mouth comes after the sound, the best of -5..5 by correlation; NaN where undefined."""
    shifts = range(-lags, lags + 1)
    found = np.array([mouth_audio_correlation(*_shifted(opening, envelope, shift)) for shift in shifts])
    return float("nan") if np.isnan(found).all() else float(shifts[int(np.nanargmax(found))])


def _shifted(opening: np.ndarray, envelope: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    length = len(opening) - abs(lag)
    if length <= 0:
        return opening[:0], envelope[:0]
    return (opening[lag:], envelope[:length]) if lag >= 0 else (opening[:length], envelope[-lag:])
