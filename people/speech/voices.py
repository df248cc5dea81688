"""Who speaks: takes of the synthesiser's voices, and further speakers made of them by resampling."""

from dataclasses import dataclass
from typing import Literal

from people.speech.recordings import Split


@dataclass(frozen=True)
class Take:
    """One way in which flite says the sentences of a split.

    Attributes:
        name: of the take.
        voice: flite's.
        split: of sentences.
        pitch: mean in Hz, None for the voice's own (rms and kal16 know no other).
        stretch: of all durations.
    """

    name: str
    voice: str
    split: Split
    pitch: float | None = None
    stretch: float = 1.0


# awb is heard in the benchmark only. `awb_high` becomes a woman's voice by a shorter vocal tract; its timing differs from `awb`'s.
TAKES = (
    Take("slt", "slt", "train"),
    Take("rms", "rms", "train"),
    Take("kal16", "kal16", "train"),
    Take("awb", "awb", "held_out"),
    Take("awb_high", "awb", "held_out", pitch=165.0, stretch=1.2),
)


@dataclass(frozen=True)
class Voice:
    """One speaker.

    Attributes:
        name: of the speaker.
        take: what is played.
        percent: length of the vocal tract, of the take's own: above 100 all frequencies fall and all times grow.
        gender: how it sounds.
        split: of which sentences there are.
    """

    name: str
    take: str
    percent: int
    gender: Literal["female", "male"]
    split: Split


def _speakers(take: str, gender: Literal["female", "male"], split: Split, *percents: int) -> tuple[Voice, ...]:
    return tuple(Voice(f"{take}_{percent}", take, percent, gender, split) for percent in percents)


VOICES: tuple[Voice, ...] = (
    *_speakers("slt", "female", "train", 90, 95, 100, 105),
    *_speakers("rms", "male", "train", 90, 95, 100, 105),
    *_speakers("kal16", "male", "train", 95, 100, 108),
    *_speakers("awb", "male", "held_out", 94, 100, 107),
    *_speakers("awb_high", "female", "held_out", 82, 86, 90),
)
BY_NAME = {voice.name: voice for voice in VOICES}
