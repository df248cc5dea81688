"""trained_on.json: whom the clips that a model was trained on show, and what their sidecars say of consent. It lies in the model's folder and goes where that goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from media.records.json_record import JsonRecord

PUPPETS, PEOPLE, NOBODY, UNKNOWN = "puppets", "people", "nobody", "unknown"
KNOWN_FROM = 0.1  # share of the clips from which on a model can be expected to make such a person


@dataclass(frozen=True)
class TrainedOnRecord(JsonRecord):
    """How many clips of a snapshot show puppets, people, nobody, or were not looked at; and under which consent and licence they were given."""

    FILE: ClassVar[str] = "trained_on.json"
    REMEDY: ClassVar[str] = "register the model again, or delete the file"

    @property
    def snapshot(self) -> str:
        """The snapshot's digest."""
        return self.require("snapshot")

    @property
    def clips(self) -> Mapping[str, int]:
        """Clips by whom they show."""
        return self.require("clips")

    @property
    def consents(self) -> Sequence[Mapping[str, Any]]:
        """Clips by what their sidecars say (`consent`, `licence`, `clips`), the most first; empty in records of older versions."""
        return self.values.get("consents", ())

    def knows(self, whom: str) -> bool:
        """Whether so much of it shows them that the model can be expected to make one; true where nobody looked."""
        looked_at = sum(count for shown, count in self.clips.items() if shown != UNKNOWN)
        return not looked_at or self.clips.get(whom, 0) >= KNOWN_FROM * looked_at

    def __str__(self) -> str:
        """For people, such as `1341 clips of puppets and 2 of people`."""
        counts = [
            f"{count} of {shown}" for shown, count in sorted(self.clips.items(), key=lambda pair: -pair[1]) if count
        ]
        first, *others = counts or ["0"]
        return " and ".join([first.replace(" of ", " clips of ", 1), *others])
