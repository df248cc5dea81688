"""The three things that can be said of a file, by each layer and of both together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNTOUCHED, CHANGED, NO_MARK = "untouched", "changed", "no mark"
WORDS = {
    UNTOUCHED: "made by us and untouched",
    CHANGED: "made by us and changed since",
    NO_MARK: "no mark found, which proves nothing",
}
EXIT_CODES = {UNTOUCHED: 0, CHANGED: 3, NO_MARK: 4}  # 1 and 2 are the command line's own


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


def exit_code(verdicts: Sequence[FileVerdict]) -> int:
    """0 where every file is untouched; else 3 where any was changed, else 4."""
    outcomes = {verdict.outcome for verdict in verdicts}
    return next((EXIT_CODES[outcome] for outcome in (CHANGED, NO_MARK) if outcome in outcomes), 0)
