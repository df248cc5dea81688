"""Does the mouth move with the sound: correlation at lag 0, and the lag at which it is best. It is no SyncNet."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from media.speech.mouth_and_sound import FEWEST, correlation, lag
from profiles.scores import MouthAudioConfig

COLUMNS = ("mouth_audio_correlation", "mouth_audio_lag_frames")
LAGS = 5


def mouth_audio_correlation(opening: np.ndarray, envelope: np.ndarray, fewest: int = FEWEST) -> float:
    """Pearson correlation of `(T,)` mouth opening in pixels (NaN where unseen) and `(T,)` sound envelope; NaN where undefined."""
    return correlation(opening, envelope, fewest)


def mouth_visibility(opening: np.ndarray) -> float:
    """Share in [0, 1] of frames in which the mouth is seen: where `(T,)` opening is not NaN. A correlation over fewer
    frames is chance more often."""
    return float(np.isfinite(opening).mean())


def mouth_audio_lag_frames(opening: np.ndarray, envelope: np.ndarray, lags: int = LAGS, fewest: int = FEWEST) -> float:
    """Frames by which the mouth comes after the sound, the best of -lags..lags by correlation; NaN where undefined."""
    return lag(opening, envelope, lags, fewest)


def score(material: Material, config: MouthAudioConfig) -> Values:
    """Columns `mouth_visibility`, `mouth_audio_correlation`, `mouth_audio_lag_frames`."""
    opening, envelope = material.opening, material.envelope
    visible: Values = {"mouth_visibility": mouth_visibility(opening)}
    if envelope is None:
        return visible | without_meaning(*COLUMNS)
    return visible | {
        "mouth_audio_correlation": mouth_audio_correlation(opening, envelope, config.fewest),
        "mouth_audio_lag_frames": mouth_audio_lag_frames(opening, envelope, config.lags, config.fewest),
    }


MOUTH_AUDIO = Score("mouth_audio", "2", floats("mouth_visibility", *COLUMNS), ("keypoints", "audio"), score)
