"""What the mouth of somebody who speaks does, read from the sound: a perceptron of 20 mel bands about each frame.

Its weights lie beside it; `training/recipes/mouth_from_sound.py` fits them on speech whose mouth is known (`people.speech`). It needs
numpy alone, so that processes that decode can ask it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from media.speech.level import LEVEL, NOBODY, measure_speech
from networks.weights import NetworkError

WEIGHTS = Path(__file__).parent / "model.safetensors"
REMEDY = "make it with training/recipes/mouth_from_sound.py"
RATE = 16_000
SPAN = 400  # samples of a spectrum, 25 ms
BANDS, LOWEST, HIGHEST = 20, 80.0, 7000.0  # Hz; mel bands (O'Shaughnessy 1987's formula)
FLOOR = 1e-4  # of a band's energy, below what a quiet room has at speech of -22 dB of full scale
STEADY = 1e-3  # deviation of a band that does not change
# Seconds from a frame's middle at which it is heard: a mouth shapes a sound before it is heard, and closes behind it.
MOMENTS = np.array([-0.15, -0.10, -0.06, -0.03, 0.0, 0.03, 0.06, 0.10, 0.15])
HIDDEN = 16


@dataclass(frozen=True)
class MouthFromSound:
    """Two layers with SiLU between: `hidden` is `(HIDDEN, BANDS * len(MOMENTS))`, `out` `(HIDDEN,)`."""

    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray

    def __call__(self, audio: np.ndarray, fps: float, frames: int) -> np.ndarray:
        """Predict `(frames,)` openings on a scale of their own, at the middles of the frames of `(S,)` sound at 16 kHz.

        NaN where there is no voice, by level.
        """
        features = sound_features(audio, (np.arange(frames) + 0.5) / fps)
        x = features @ self.hidden.T + self.hidden_bias
        return (x / (1 + np.exp(-x.clip(-60)))) @ self.out


def sound_features(audio: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`(len(times), BANDS * len(MOMENTS))` of `(S,)` samples at 16 kHz about these seconds; NaN where there is no voice.

    Speech is brought to -22 dB of full scale, and each band to mean 0 and variance 1 over the clip: microphones, rooms and
    voices differ in both.
    """
    level = measure_speech(audio).level
    if level < NOBODY:
        return np.full((len(times), BANDS * len(MOMENTS)), np.nan)
    bands = log_mel(audio * 10 ** ((LEVEL - level) / 20), (times[:, None] + MOMENTS).ravel())
    bands = (bands - bands.mean(axis=0)) / (bands.std(axis=0) + STEADY)
    return bands.reshape(len(times), -1)


def log_mel(audio: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`(len(times), BANDS)` natural logarithms of mel energies of the 25 ms about each of these seconds; outside is silence."""
    starts = np.round(times * RATE).astype(int) - SPAN // 2
    before, behind = max(0, -int(starts.min())), max(0, int(starts.max()) + SPAN - len(audio))
    padded = np.pad(audio.astype(np.float64), (before, behind))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[starts + before]
    power = np.abs(np.fft.rfft(pieces * np.hanning(SPAN), axis=1)) ** 2 / SPAN
    return np.log(power @ _mel_bands().T + FLOOR)


@cache
def _mel_bands() -> np.ndarray:
    """`(BANDS, SPAN // 2 + 1)` triangles, evenly spaced in mel."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(SPAN, 1 / RATE)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.minimum((frequencies - low) / (peak - low), (high - frequencies) / (high - peak)).clip(0)


def load_mouth_from_sound(path: Path = WEIGHTS) -> MouthFromSound:
    """Read the weights, safetensors only.

    Raises:
        NetworkError: the file is not there or does not hold exactly these parameters.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    shapes = {"hidden": (HIDDEN, BANDS * len(MOMENTS)), "hidden_bias": (HIDDEN,), "out": (HIDDEN,)}
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"{path} does not hold the weights of mouth_from_sound ({error}); {REMEDY}") from error
    if {name: value.shape for name, value in weights.items()} != shapes:
        raise NetworkError(f"{path} does not hold the weights of mouth_from_sound; {REMEDY}")
    return MouthFromSound(**weights)
