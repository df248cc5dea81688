"""Results of turns in a file, written after each, so that a run that ends goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from media import write_atomically
from media.user_error import UserError


class OtherRun(UserError):
    """The folder holds results of other builds or of another machine."""


@dataclass(frozen=True)
class Origin:
    """What results must share to stand in one table: commits by build, and the machine."""

    commits: dict[str, str]
    machine: str


class Kept:
    """Turns by task and way of running it."""

    def __init__(self, path: Path, origin: Origin):
        """Read what stands in `path`.

        Raises:
            OtherRun: it is of other builds or another machine, or no such file at all.
        """
        self.path, self.origin = path, origin
        self._turns: dict[str, dict[str, list[dict[str, Any]]]] = {}
        if not path.exists():
            return
        try:
            values = json.loads(path.read_text())
            found, self._turns = Origin(**values["origin"]), values["turns"]
        except (KeyError, TypeError, ValueError) as error:
            raise OtherRun(f"{path} holds no results: {error}; take another folder with --home-work") from error
        if found != origin:
            raise OtherRun(
                f"{path} holds results of {found}, and this is {origin}: take another folder with --home-work"
            )

    def turns(self, task: str, way: str) -> list[dict[str, Any]]:
        """What was measured, in order; [] where nothing was."""
        return self._turns.get(task, {}).get(way, [])

    def add(self, task: str, way: str, found: dict[str, Any]) -> None:
        """Keep a turn; it stands in the file when this returns."""
        self._turns.setdefault(task, {}).setdefault(way, []).append(found)
        values = {"origin": asdict(self.origin), "turns": self._turns}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, (json.dumps(values, indent=1) + "\n").encode())
