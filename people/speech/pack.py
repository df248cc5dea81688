"""Utterances out of the pack: sentences of one speaker with pauses between them, as long as a clip is."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Self

import numpy as np
from scipy.signal import resample_poly

from people.speech.recordings import RATE, SILENCE, Phone, Recording, SpeechError, Split, recordings, sound_of
from people.speech.voices import VOICES, Voice

PAUSES = 0.15, 0.6  # seconds between sentences
KEPT = 0.03  # seconds of its own silence that a sentence keeps on either side
LATEST_START = 0.7  # of the first sentence, at which an utterance begins
GAIN_DB = 3.0  # by which speakers are louder or softer than -22 dB of full scale
FULL_SCALE = 0.99
_VOICE, _WORDS = zlib.crc32(b"people.speech.voice"), zlib.crc32(b"people.speech.words")


@dataclass(frozen=True, eq=False)
class Utterance:
    """What one speaker says.

    Attributes:
        text: the sentences that are heard, the first and the last perhaps in part.
        voice: name of the speaker.
        audio: `(S,)` float32 at 16 kHz.
        phones: from 0 to the end without gaps.
    """

    text: str
    voice: str
    audio: np.ndarray
    phones: tuple[Phone, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.audio) / RATE

    def cut(self, start: float, seconds: float) -> Self:
        """What is said from `start` on for so many seconds; the text stays whole.

        Raises:
            SpeechError: it is not within the utterance, or less than a sample.
        """
        first, samples = round(start * RATE), round(seconds * RATE)
        if first < 0 or samples < 1 or first + samples > len(self.audio):
            raise SpeechError(f"{seconds:g} seconds from {start:g} on are not within an utterance of {self.seconds:g}")
        moved = (Phone(p.symbol, p.start - first / RATE, p.end - first / RATE) for p in self.phones)
        return replace(self, audio=self.audio[first : first + samples], phones=cut_phones(moved, samples / RATE))


def utterance(seed: int, seconds: float, voices: Sequence[str] | None = None, split: Split = "train") -> Utterance:
    """Draw what is said, by whom and with which pauses; the same for the same arguments.

    No sentence and no voice of flite is in both splits.

    Args:
        seed: of every choice.
        seconds: exact length, to a sample.
        voices: names out of `people.speech.voices.VOICES` to choose from; None for all of the split.
        split: `train` or `held_out`.

    Raises:
        SpeechError: an unknown voice or one of the other split, or less than a sample.
    """
    chosen = voices_of(split, voices)
    return say(seed, chosen[int(np.random.default_rng([seed, _VOICE]).integers(len(chosen)))], seconds)


def say(seed: int, voice: Voice, seconds: float) -> Utterance:
    """Have this speaker say what `utterance` says with this seed: the order of sentences, pauses and gain are the same for every one.

    Raises:
        SpeechError: less than a sample.
    """
    rng = np.random.default_rng([seed, _WORDS])
    sentences = _in_drawn_order(rng, recordings(voice.take, voice.split))
    samples = round(seconds * RATE)
    if samples < 1:
        raise SpeechError(f"an utterance of {seconds:g} seconds has no sample; ask for at least {1 / RATE:g}")
    audio, phones, texts = np.zeros(samples, np.float32), [], []
    at = round(rng.uniform(*PAUSES) * RATE)  # where the next sentence begins
    for number, sentence in enumerate(sentences):
        sound, spoken = speak(sentence, voice)
        if number == 0:
            at -= round(rng.uniform(0, at + LATEST_START * len(sound)))
        if at >= samples:
            break
        begin, end = max(at, 0), min(at + len(sound), samples)
        audio[begin:end] = sound[begin - at : end - at]
        phones += [Phone(p.symbol, p.start + at / RATE, p.end + at / RATE) for p in spoken]
        texts.append(sentence.text)
        at += len(sound) + round(rng.uniform(*PAUSES) * RATE)
    audio *= 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)
    return Utterance(
        " ".join(texts), voice.name, audio.clip(-FULL_SCALE, FULL_SCALE), cut_phones(phones, samples / RATE)
    )


def voices_of(split: Split, names: Sequence[str] | None = None) -> tuple[Voice, ...]:
    """The speakers of a split, or those of these names.

    Raises:
        SpeechError: an unknown name or one of the other split, or no name.
    """
    own = {voice.name: voice for voice in VOICES if voice.split == split}
    chosen = list(own) if names is None else list(names)
    wrong = [name for name in chosen if name not in own]
    if wrong or not chosen:
        raise SpeechError(f"{', '.join(wrong) or 'no name'} is no voice of split {split}; it has {', '.join(own)}")
    return tuple(own[name] for name in chosen)


def speak(sentence: Recording, voice: Voice) -> tuple[np.ndarray, tuple[Phone, ...]]:
    """One sentence at the speaker's size: `(S,)` float32 with `KEPT` seconds of silence around it, and its phones."""
    heard = [phone for phone in sentence.phones if phone.symbol != SILENCE]
    first, last = round((heard[0].start - KEPT) * RATE), round((heard[-1].end + KEPT) * RATE)
    sound = sound_of(sentence)[max(first, 0) : last]
    factor = voice.percent / 100
    start = max(first, 0) / RATE
    phones = (Phone(p.symbol, (p.start - start) * factor, (p.end - start) * factor) for p in sentence.phones)
    if voice.percent != 100:
        sound = resample_poly(sound, voice.percent, 100).astype(np.float32)
    return sound, cut_phones(phones, len(sound) / RATE)


def cut_phones(phones: Sequence[Phone] | Iterator[Phone], seconds: float) -> tuple[Phone, ...]:
    """Phones from 0 to `seconds` without gaps: what lies outside is cut off, and silence is one phone and fills what is free."""
    filled, at = [], 0.0
    for phone in phones:
        start, end = max(phone.start, at), min(phone.end, seconds)
        if end <= start:
            continue
        if start > at:
            filled.append(Phone(SILENCE, at, start))
        filled.append(Phone(phone.symbol, start, end))
        at = end
    if at < seconds:
        filled.append(Phone(SILENCE, at, seconds))
    return tuple(phone for silent, run in groupby(filled, _is_silence) for phone in (_joined(run) if silent else run))


def _is_silence(phone: Phone) -> bool:
    return phone.symbol == SILENCE


def _joined(run: Iterator[Phone]) -> tuple[Phone]:
    phones = list(run)
    return (Phone(SILENCE, phones[0].start, phones[-1].end),)


def _in_drawn_order(rng: np.random.Generator, sentences: Sequence[Recording]) -> Iterator[Recording]:
    while True:
        for number in rng.permutation(len(sentences)):
            yield sentences[number]
