"""Progress of long work as a small file that another process can watch."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from media import write_atomically


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units, and a short note."""

    done: int
    total: int
    note: str


class ProgressFile:
    """Callable (done, total, note) that writes at most twice a second, and always at the end."""

    def __init__(self, path: Path):
        self.path, self._written = path, 0.0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if done < total and now - self._written < 0.5:
            return
        self._written = now
        write_atomically(self.path, json.dumps({"done": done, "total": total, "note": note}).encode())


def read_progress(path: Path) -> Progress | None:
    """The last state, or None before there is one."""
    try:
        return Progress(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
