"""Does the mouth move with the sound: correlation at lag 0, and the lag at which it is best. It is no SyncNet."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from profiles.scores import MouthAudioConfig

COLUMNS = ("mouth_audio_correlation", "mouth_audio_lag_frames")
LAGS = 5
FEWEST = 8  # frames; fewer say nothing about correlation
STANDING = 1e-3  # standard deviation (pixels, or full scale) of what does not move


def mouth_audio_correlation(opening: np.ndarray, envelope: np.ndarray, fewest: int = FEWEST) -> float:
    """Pearson correlation of `(T,)` mouth opening (NaN where unseen) and `(T,)` sound envelope; NaN where undefined."""
    seen = np.isfinite(opening) & np.isfinite(envelope)
    x, y = opening[seen], envelope[seen]
    if len(x) < fewest or x.std() < STANDING or y.std() < STANDING:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def mouth_visibility(opening: np.ndarray) -> float:
    """Share in [0, 1] of frames in which the mouth is seen: where `(T,)` opening is not NaN. A correlation over fewer
    frames is chance more often."""
    return float(np.isfinite(opening).mean())


def mouth_audio_lag_frames(opening: np.ndarray, envelope: np.ndarray, lags: int = LAGS, fewest: int = FEWEST) -> float:
    """Frames by which the mouth comes after the sound, the best of -lags..lags by correlation; NaN where undefined."""
    shifts = range(-lags, lags + 1)
    correlations = np.array([mouth_audio_correlation(*_shifted(opening, envelope, shift), fewest) for shift in shifts])
    return float("nan") if np.isnan(correlations).all() else float(shifts[int(np.nanargmax(correlations))])


def _shifted(opening: np.ndarray, envelope: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    length = len(opening) - abs(lag)
    if length <= 0:
        return opening[:0], envelope[:0]
    return (opening[lag:], envelope[:length]) if lag >= 0 else (opening[:length], envelope[-lag:])


def score(material: Material, config: MouthAudioConfig) -> Values:
    """Columns `mouth_visibility`, `mouth_audio_correlation`, `mouth_audio_lag_frames`."""
    opening, envelope = material.opening, material.envelope
    visible: Values = {"mouth_visibility": mouth_visibility(opening)}
    if envelope is None:
        return visible | without_meaning(*COLUMNS)
    correlation = mouth_audio_correlation(opening, envelope, config.fewest)
    lag = mouth_audio_lag_frames(opening, envelope, config.lags, config.fewest)
    return visible | {"mouth_audio_correlation": correlation, "mouth_audio_lag_frames": lag}


MOUTH_AUDIO = Score("mouth_audio", "2", floats("mouth_visibility", *COLUMNS), ("keypoints", "audio"), score)
