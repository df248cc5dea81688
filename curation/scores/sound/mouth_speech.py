"""Does the mouth do what is heard: correlation with the opening that a network reads from speech, the best lag, and by how much it is best.

Loudness (`mouth_audio`) knows that a mouth which speaks is open; this knows with which sounds. It is no SyncNet.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curation.errors import CurationError
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.sound.signal import at_16_khz
from curation.weights import kept, weights_file, weights_version
from media.speech.mouth_and_sound import lag_correlations
from profiles.scores import MouthSpeechConfig

if TYPE_CHECKING:
    from networks.mouth_from_sound.predictor import MouthFromSound

COLUMNS = ("mouth_speech_correlation", "mouth_speech_lag_frames", "mouth_speech_confidence")
NEIGHBOURS = 2  # frames about the best lag that are as good by nature: a mouth moves slowly


def mouth_speech(correlations: np.ndarray) -> Values:
    """The three columns of the correlations at lags -n..n.

    The confidence is how far the best lag lies above the best of those more than `NEIGHBOURS` frames from it; all are NaN where
    the correlation at some lag is undefined, or no lag is so far away.
    """
    lags = len(correlations) // 2
    if np.isnan(correlations).any():
        return without_meaning(*COLUMNS)
    best = int(correlations.argmax())
    others = correlations[np.abs(np.arange(len(correlations)) - best) > NEIGHBOURS]
    if not len(others):
        return without_meaning(*COLUMNS)
    values = (correlations[lags], best - lags, correlations[best] - others.max())
    return dict(zip(COLUMNS, map(float, values), strict=True))


def model_file(config: MouthSpeechConfig) -> Path:
    """The weights' file."""
    remedy = "make it with training/recipes/mouth_from_sound.py, or set curation.scores.mouth_speech to null"
    return weights_file(config.weights, "curation.scores.mouth_speech.weights", remedy)


@kept
def _network(path: str) -> "MouthFromSound":
    from networks.mouth_from_sound.predictor import load_mouth_from_sound
    from networks.weights import NetworkError

    try:
        return load_mouth_from_sound(Path(path))
    except NetworkError as error:
        raise CurationError(str(error)) from error


def score(material: Material, config: MouthSpeechConfig) -> Values:
    """The columns; NaN without sound, without a voice, or with fewer than `fewest` frames that show the mouth at some lag.

    Raises:
        CurationError: no weights, or other ones.
    """
    video = material.bench.video
    audio = at_16_khz(material.audio, video.sample_rate)
    if audio is None:
        return without_meaning(*COLUMNS)
    path = model_file(config)
    predicted = _network(str(path), weights_version(path))(audio, video.fps, len(material.opening))
    return mouth_speech(lag_correlations(material.opening, predicted, config.lags, config.fewest))


MOUTH_SPEECH = Score(
    "mouth_speech", "1", floats(*COLUMNS), ("keypoints", "audio"), score,
    lambda config: weights_version(model_file(config)),
)  # fmt: skip
