"""Sound that does not fit the mouth: what clips break the rules of lip-sync with."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from people.speech.pack import Utterance, say, utterance, voices_of
from people.speech.recordings import RATE, SILENCE, Phone, SpeechError, Split

Kind = Literal["other_words", "late", "pause", "other_voice", "music", "noise"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BED_DB = -22.0  # of full scale: as loud as speech
PAUSE_SHARE = 0.4  # of a clip that is without sound in kind `pause`
FADE_SECONDS = 0.01
_OTHER, _BED = zlib.crc32(b"people.dubbing.other"), zlib.crc32(b"people.dubbing.bed")


@dataclass(frozen=True, eq=False)
class Dubbed:
    """A mouth and a sound.

    Attributes:
        mouth: what the face says.
        audio: `(S,)` float32 at 16 kHz, what is heard, as long as `mouth`.
    """

    mouth: Utterance
    audio: np.ndarray


def dub(
    kind: Kind,
    seed: int,
    seconds: float,
    voices: Sequence[str] | None = None,
    split: Split = "train",
    late_by: float = 0.375,
) -> Dubbed:
    """Draw a mouth and a sound that does not fit it.

    Args:
        kind: `other_words` (the same speaker says something else), `late` (the sound comes `late_by` seconds after the mouth),
            `pause` (the sound stops while the mouth goes on), `other_voice` (another speaker says the same words in other
            timing), `music` or `noise` (the mouth is shut, and no speech is heard).
        seed, seconds, voices, split: of the mouth's utterance, which is `utterance(seed, seconds, voices, split)` in `other_words`,
            `pause` and `other_voice`.
        late_by: seconds; below 0 the sound comes early. n frames are n / fps.

    Raises:
        SpeechError: as `utterance`, and another kind.
    """
    if kind not in KINDS:
        raise SpeechError(f"{kind!r} is no kind of dubbing; there are {', '.join(KINDS)}")
    if kind == "late":
        return shift(utterance(seed, seconds + abs(late_by), voices, split), late_by)
    rng = np.random.default_rng([seed, _BED])
    if kind in ("music", "noise"):
        mouth = silence(seconds, voices_of(split, voices)[0].name)
        bed = music if kind == "music" else noise
        return Dubbed(mouth, bed(rng, len(mouth.audio)))
    mouth = utterance(seed, seconds, voices, split)
    if kind == "pause":
        start = rng.uniform(0.0, (1 - PAUSE_SHARE) * seconds)
        return Dubbed(mouth, mute(mouth.audio, start, start + PAUSE_SHARE * seconds))
    if kind == "other_words":
        return Dubbed(mouth, other_words(seed, mouth, split).audio)
    return Dubbed(mouth, other_voice(seed, mouth, split).audio)


def shift(longer: Utterance, late_by: float) -> Dubbed:
    """Cut mouth and sound out of an utterance so that the sound comes `late_by` seconds after the mouth; both lose so much of length.

    Raises:
        SpeechError: nothing is left.
    """
    seconds = longer.seconds - abs(late_by)
    mouth = longer.cut(max(late_by, 0.0), seconds)
    return Dubbed(mouth, longer.cut(max(-late_by, 0.0), seconds).audio[: len(mouth.audio)])


def other_words(seed: int, mouth: Utterance, split: Split) -> Utterance:
    """The same speaker with other sentences, as long; two people who talk share no more than this."""
    drawn = int(np.random.default_rng([seed, _OTHER]).integers(2**62))
    return utterance(drawn, mouth.seconds, [mouth.voice], split)


def other_voice(seed: int, mouth: Utterance, split: Split) -> Utterance:
    """A speaker of another take, whose timing is its own, with the words of `utterance(seed, ...)`; as long, from the same place on."""
    own = next(voice.take for voice in voices_of(split, [mouth.voice]))
    others = [voice for voice in voices_of(split) if voice.take != own]
    chosen = int(np.random.default_rng([seed, _OTHER]).integers(len(others)))
    return say(seed, others[chosen], mouth.seconds)


def mute(audio: np.ndarray, start: float, end: float) -> np.ndarray:
    """`(S,)` samples without those from `start` to `end` seconds, faded over 10 ms."""
    time = np.arange(len(audio)) / RATE
    inside = np.minimum(time - start, end - time) / FADE_SECONDS
    return (audio * (1 - inside.clip(0, 1))).astype(np.float32)


def silence(seconds: float, voice: str) -> Utterance:
    """Nobody speaks: an utterance of one pause."""
    samples = round(seconds * RATE)
    return Utterance("", voice, np.zeros(samples, np.float32), (Phone(SILENCE, 0.0, samples / RATE),))


def noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """`(samples,)` float32 of a street or a room: noise that falls by 3 dB an octave and swells slowly, at -22 dB of full scale."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    coloured = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), samples)
    time = np.arange(samples) / RATE
    swell = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 1.0) * time + rng.uniform(0, 2 * np.pi))
    return at_level(coloured * swell)


def music(rng: np.random.Generator, samples: int) -> np.ndarray:
    """`(samples,)` float32 of plucked chords on a beat, at -22 dB of full scale."""
    beat = rng.uniform(0.25, 0.5)
    time = np.arange(samples) / RATE
    tune = np.zeros(samples)
    for start in np.arange(-rng.uniform(0, beat), samples / RATE, beat):
        since = time - start
        decay = np.where(since >= 0, np.exp(-since.clip(0) / 0.15), 0.0)
        for step in rng.choice([0, 2, 4, 7, 9, 12, 16], 3, replace=False):
            tone = 2 * np.pi * 196.0 * 2 ** (step / 12) * since
            tune += decay * sum(np.sin(harmonic * tone) / harmonic**1.5 for harmonic in (1, 2, 3, 4))
    return at_level(tune)


def lay_under(audio: np.ndarray, bed: np.ndarray, below: float) -> np.ndarray:
    """Speech with noise or music `below` dB under `BED_DB`, both `(S,)`; the clip stays in sync and its pauses are no longer silent."""
    return (audio + bed * 10 ** (-below / 20)).clip(-1, 1).astype(np.float32)


def at_level(sound: np.ndarray) -> np.ndarray:
    """Bring `(S,)` samples that are not all 0 to `BED_DB`."""
    return (sound * 10 ** (BED_DB / 20) / np.sqrt(np.mean(sound**2))).clip(-1, 1).astype(np.float32)
