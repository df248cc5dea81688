"""The three things that can be said of a file, by each layer and of both together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from media.user_error import UserError

UNTOUCHED, CHANGED, NO_MARK = "untouched", "changed", "no mark"
WORDS = {
    UNTOUCHED: "made by us and untouched",
    CHANGED: "made by us and changed since",
    NO_MARK: "no mark found, which proves nothing",
}
EXIT_CODES = {UNTOUCHED: 0, CHANGED: 3, NO_MARK: 4}  # 1, of what cannot be read, and 2 are the command line's own


@dataclass(frozen=True)
class LayerVerdict:
    """What one layer says.

    Attributes:
        layer: `signature` or `watermark`.
        outcome: one of `WORDS`.
        reason: one word for programs: `intact`, `changed`, `none`, `others`, `expired`, `unreadable`, `no_media`, `found`.
        told: a sentence for people.
        says: what the layer carries; read it only of an outcome that is not `NO_MARK`.
    """

    layer: str
    outcome: str
    reason: str
    told: str
    says: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileVerdict:
    """What all layers say of one file."""

    path: Path
    layers: tuple[LayerVerdict, ...]

    @property
    def outcome(self) -> str:
        """A signature that fits says all; a mark of ours without one says that the file is another than we wrote."""
        outcomes = [layer.outcome for layer in self.layers]
        if self.layers[0].outcome == UNTOUCHED:
            return UNTOUCHED
        return CHANGED if set(outcomes) - {NO_MARK} else NO_MARK

    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.path}: {WORDS[self.outcome]}", *(f"  {layer.layer}: {layer.told}" for layer in self.layers)]

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"file": str(self.path), "outcome": self.outcome, "layers": [asdict(layer) for layer in self.layers]}


@dataclass(frozen=True)
class Unread:
    """A file that could not be looked at; `error` says why and what to do."""

    path: Path
    error: str

    def record(self) -> dict[str, Any]:
        """JSON-ready; nothing is said of the file."""
        return {"file": str(self.path), "outcome": None, "layers": [], "error": self.error}


def exit_code(answers: Sequence[FileVerdict | Unread]) -> int:
    """0 where every file is untouched; else 1 where any could not be read, else 3 where any was changed, else 4."""
    if any(isinstance(answer, Unread) for answer in answers):
        return UserError.exit_code
    outcomes = {answer.outcome for answer in answers if isinstance(answer, FileVerdict)}
    return next((EXIT_CODES[outcome] for outcome in (CHANGED, NO_MARK) if outcome in outcomes), 0)
