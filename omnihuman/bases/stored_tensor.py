"""A weight in a file, before it is read."""

from dataclasses import dataclass
from pathlib import Path

from media.user_error import UserError


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read as a whole transformer of its base; the message names the place, the keys and the remedy."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a weight lies: file, its name there, and what the file's header says of it; of one in eight bits its scale, by which it is multiplied."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: "StoredTensor | None" = None
