"""The pack: sentences as a synthesiser said them, with the time of every phone. `python -m people.speech.build` makes it."""

import io
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, get_args

import av
import numpy as np
from scipy.signal import resample_poly

from media.user_error import UserError

RATE = 16_000
OPUS_RATE = 48_000  # at which Opus is decoded
SILENCE = "pau"  # as flite writes it
FOLDER = Path(__file__).parent / "data"
SOUND = FOLDER / "recordings.opus"  # Ogg files one behind the other
TABLE = FOLDER / "recordings.json"
Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = get_args(Split)
DECODED = 32  # recordings kept decoded, 5 MB


class SpeechError(UserError, ValueError):
    """The pack is not as it was made, or holds nothing of what is asked for."""


@dataclass(frozen=True)
class Phone:
    """One phone: its ARPAbet symbol as flite gives it (`pau` is silence), and where it starts and ends, in seconds."""

    symbol: str
    start: float
    end: float

    @property
    def middle(self) -> float:
        """In seconds."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Recording:
    """One sentence by one take of a voice.

    Attributes:
        take: the synthesiser's voice and how it was set (`people.speech.voices`).
        split: which sentences it is of.
        offset, size: where its Ogg file lies in `recordings.opus`, in bytes.
        phones: from 0 to its end without gaps.
    """

    take: str
    split: Split
    text: str
    offset: int
    size: int
    phones: tuple[Phone, ...]


@cache
def recordings(take: str, split: Split) -> tuple[Recording, ...]:
    """All sentences of a split by one take, in the order of the sentences' file; empty where the take says none of it.

    Raises:
        SpeechError: the pack is not whole.
    """
    rows = [row for row in _table() if row["take"] == take and row["split"] == split]
    return tuple(
        Recording(take, split, row["text"], row["offset"], row["size"], read_phones(row["phones"])) for row in rows
    )


@lru_cache(maxsize=DECODED)
def sound_of(recording: Recording) -> np.ndarray:
    """Decode `(S,)` float32 at 16 kHz, to be read only."""
    with SOUND.open("rb") as file:
        file.seek(recording.offset)
        audio = decode_opus(file.read(recording.size))
    audio.setflags(write=False)
    return audio


def decode_opus(data: bytes) -> np.ndarray:
    """`(S,)` float32 at 16 kHz out of an Ogg file that `build` wrote; `media.read_audio` hears the same in more than twice the time."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return resample_poly(np.concatenate(frames), 1, OPUS_RATE // RATE).astype(np.float32)


def write_phones(phones: tuple[Phone, ...]) -> str:
    """Symbols, each with its end in milliseconds: `pau 224 w 315`."""
    return " ".join(f"{phone.symbol} {round(phone.end * 1000)}" for phone in phones)


def read_phones(words: str) -> tuple[Phone, ...]:
    """Undo `write_phones`."""
    symbols, ends = words.split()[::2], [int(end) / 1000 for end in words.split()[1::2]]
    return tuple(Phone(symbol, start, end) for symbol, start, end in zip(symbols, [0.0, *ends[:-1]], ends, strict=True))


@cache
def _table() -> list[dict]:
    if not TABLE.is_file() or not SOUND.is_file():
        raise SpeechError(f"{FOLDER} lacks {TABLE.name} or {SOUND.name}; make them with python -m people.speech.build")
    table = json.loads(TABLE.read_text())
    if SOUND.stat().st_size != table["bytes"]:
        raise SpeechError(
            f"{SOUND} has {SOUND.stat().st_size} bytes and {TABLE.name} says {table['bytes']}; check both out anew, or make "
            "them with python -m people.speech.build"
        )
    return table["recordings"]
