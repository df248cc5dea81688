"""Speech: how much of the sound is somebody talking, by silero-vad (MIT; its weights ship in its package)."""

from pathlib import Path
from typing import Any

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats, without_meaning
from curation.scores.sound.signal import RATE, at_16_khz
from curation.weights import kept, onnx_session, weights_file, weights_version
from profiles.scores import SpeechConfig

WINDOW, CONTEXT = 512, 64  # samples; the network sees each window with the end of the one before


def speech_probabilities(session: Any, audio: np.ndarray) -> np.ndarray:
    """`(n,)` probability of speech in each whole 32 ms window of `(S,)` samples at 16 kHz, in order: it has memory."""
    state = np.zeros((2, 1, 128), np.float32)
    before = np.zeros((1, CONTEXT), np.float32)
    rate = np.array(RATE, np.int64)
    probabilities = []
    for start in range(0, len(audio) - WINDOW + 1, WINDOW):
        window = np.concatenate([before, audio[None, start : start + WINDOW].astype(np.float32)], axis=1)
        probability, state = session.run(None, {"input": window, "state": state, "sr": rate})
        before = window[:, -CONTEXT:]
        probabilities.append(float(probability[0, 0]))
    return np.array(probabilities)


def model_file(config: SpeechConfig) -> Path:
    """The network's ONNX file."""
    return weights_file(
        config.model, "curation.scores.speech.model", "run `pip install silero-vad==6.2.3`, or set it to null"
    )


def session(config: SpeechConfig) -> Any:
    """The network, opened once.

    Raises:
        CurationError: no such model.
    """
    path = model_file(config)
    return _session(str(path), weights_version(path))


_session = kept(onnx_session, networks=2)


def score(material: Material, config: SpeechConfig) -> Values:
    """Column `speech_share`: windows that are speech over all windows; NaN without sound.

    Raises:
        CurationError: no such model, or sound at another rate than 16 kHz.
    """
    audio = at_16_khz(material.audio, material.bench.video.sample_rate)
    if audio is None:
        return without_meaning("speech_share")
    probabilities = speech_probabilities(session(config), audio)
    return {"speech_share": float((probabilities >= config.threshold).mean()) if len(probabilities) else float("nan")}


SPEECH = Score(
    "speech",
    "silero-6-1",
    floats("speech_share"),
    ("audio",),
    score,
    lambda config: weights_version(model_file(config)),
)
