"""How loud somebody speaks, and what is done to sound before an encoder hears it. docs/decisions/0047-speech-at-a-stated-level.md."""

from dataclasses import dataclass

import numpy as np

RATE = 16_000
BLOCK = 800  # 50 ms: about a syllable's nucleus
ACTIVE = 20.0  # dB below the loud blocks; what is quieter is a pause
LEVEL, WITHIN = -22.0, 3.0  # dB of full scale, of the blocks in which somebody speaks
FAR = 10.0  # dB from `LEVEL` at which it is worth a note
NOBODY = -60.0  # below it there is no voice to be brought to a level
PIECE = 60 * RATE  # samples that are looked at at a time; a multiple of BLOCK
EPSILON = 1e-7  # wav2vec 2.0's, as in transformers' feature extractor


@dataclass(frozen=True)
class SpeechMeasure:
    """Of a whole sound, from its beginning to its last sample that is not 0.

    Attributes:
        level: dB of full scale of the blocks in which somebody speaks; -inf of silence.
        mean, variance: of all samples.
    """

    level: float
    mean: float
    variance: float

    @property
    def gain(self) -> float:
        """What brings the speech to within `WITHIN` dB of `LEVEL`: 1 where it is, and where nobody speaks."""
        if self.level < NOBODY or abs(self.level - LEVEL) <= WITHIN:
            return 1.0
        edge = LEVEL + (WITHIN if self.level > LEVEL else -WITHIN)
        return float(10 ** ((edge - self.level) / 20))

    @property
    def note(self) -> str:
        """For people: that the level was far off, and what was done; empty where it was not by `FAR` dB."""
        if self.gain == 1.0 or abs(self.level - LEVEL) < FAR:
            return ""
        heard = LEVEL + (WITHIN if self.level > LEVEL else -WITHIN)
        return f"the voice is at {self.level:.0f} dB of full scale; it is heard as if it were at {heard:.0f} dB"


def sound_end(sound: np.ndarray) -> int:
    """Where `(S,)` samples end: what is exactly 0 behind is padding."""
    end = len(sound)
    while end:
        heard = np.flatnonzero(sound[max(0, end - PIECE) : end])
        if len(heard):
            return max(0, end - PIECE) + int(heard[-1]) + 1
        end = max(0, end - PIECE)
    return 0


def measure_speech(sound: np.ndarray) -> SpeechMeasure:
    """Measure `(S,)` float samples at 16 kHz. Memory for a minute at a time, whatever the sound's length."""
    sound = np.asarray(sound)[: sound_end(sound)]
    if not len(sound):
        return SpeechMeasure(-np.inf, 0.0, 0.0)
    blocks = max(1, len(sound) // BLOCK)
    width = len(sound) if blocks == 1 else BLOCK
    whole = sound[: blocks * width].reshape(blocks, -1)
    step = PIECE // BLOCK
    power = np.concatenate(
        [np.square(np.asarray(whole[at : at + step], np.float64)).mean(axis=1) for at in range(0, blocks, step)]
    )
    active = power[power >= np.quantile(power, 0.95) * 10 ** (-ACTIVE / 10)]
    pieces = [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]
    mean = sum(np.asarray(piece, np.float64).sum() for piece in pieces) / len(sound)
    variance = sum(np.square(np.asarray(piece, np.float64) - mean).sum() for piece in pieces) / len(sound)
    return SpeechMeasure(float(10 * np.log10(active.mean() + 1e-30)), float(mean), float(variance))


def prepare_speech(sound: np.ndarray, measure: SpeechMeasure, normalised: bool) -> np.ndarray:
    """`(S,)` float32 as an encoder hears it.

    Args:
        sound: all of what was measured, or a piece of it.
        measure: of all.
        normalised: to mean 0 and variance 1, for an encoder whose folder says `do_normalize`; else speech at `LEVEL`.
    """
    if not normalised:
        return sound if measure.gain == 1.0 else (sound * measure.gain).astype(np.float32)
    end = sound_end(sound)
    made = np.zeros(len(sound), np.float32)
    made[:end] = (sound[:end] - measure.mean) / np.sqrt(measure.variance + EPSILON)
    return made
