"""Which keys of a profile a run reads, in all of its processes: `key.path` a line, in the file that `OMNIHUMAN_TEST_KEYS` names.

A key counts when code takes its value from the profile or from a part of it, however the part came there: copied, or pickled into a worker. What
validates a profile, prints it, or compares it with what was made before reads all keys, and counts for none.
"""

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from profiles.base import Strict
from profiles.schema import CONDITIONS, Profile
from training.run import warm

VARIABLE = "OMNIHUMAN_TEST_KEYS"
PRIVATE = "__pydantic_private__"
plain, copied, ranks = Strict.__getattribute__, Strict.__copy__, warm.train_ranks
seen: set[str] = set()


class Trail(dict):
    """Where in its profile a part stands; a part with one equals a part without."""

    def __eq__(self, other: object) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self["path"],)


def _arrived(path: str) -> Trail:
    """In a worker that a part was sent to."""
    record()
    return Trail(path=path)


@cache
def _fields(kind: type[Strict]) -> frozenset[str]:
    return frozenset(kind.model_fields)


def _read(part: Strict, name: str) -> Any:
    value = plain(part, name)
    if name in _fields(type(part)):
        trail = plain(part, PRIVATE)
        if trail is None and isinstance(part, Profile):
            trail = Trail(path="")
            object.__setattr__(part, PRIVATE, trail)
        if trail is not None:
            _note(f"{trail['path']}.{name}".lstrip("."), value, sys._getframe(1).f_code)
    return value


def _note(path: str, value: Any, reader: Any) -> None:
    if reader.co_name.startswith("_") and f"{os.sep}profiles{os.sep}" in reader.co_filename:
        return  # a validator or a serialiser
    parts = value.items() if isinstance(value, dict) else [("", value)]
    for key, part in parts:
        below = f"{path}.{key}".rstrip(".")
        if isinstance(part, Strict):
            object.__setattr__(part, PRIVATE, Trail(path=below))
        elif below not in seen:
            seen.add(below)
            with open(os.environ[VARIABLE], "a") as file:
                file.write(f"{below}\n")


def _copy(part: Strict) -> Strict:
    made = copied(part)
    trail = plain(part, PRIVATE)
    object.__setattr__(made, PRIVATE, None if trail is None else Trail(path=trail["path"]))
    return made


def leaves(values: object, path: str = "") -> dict[str, object]:
    """Keys of a profile's YAML, and their values."""
    if not isinstance(values, dict) or not values:
        return {path: values}
    return {k: v for key, value in values.items() for k, v in leaves(value, f"{path}.{key}".lstrip(".")).items()}


def below(key: str, section: str) -> bool:
    """Whether a key is a section's, or the section."""
    return key == section or key.startswith(f"{section}.")


def unread(profile: dict[str, Any], recorded: Path) -> set[str]:
    """Keys of a profile's YAML that nobody read.

    A key that stands for several (`guidance: apt`, `mouth_speech: {}`) is read when one of them is; so is a preset, which fills in the ratios.
    """
    found = set(recorded.read_text().split())

    def read(key: str) -> bool:
        filled = re.sub(r"\.ratios\.(preset|strongest)$", ".ratios", key)
        if filled != key:
            return {f"{filled}.{name}" for name in CONDITIONS} <= found
        return any(below(path, key) for path in found)

    return {key for key in leaves(profile) if not read(key)}


def record() -> None:
    """From now on, in this process and those that it forks; nothing where nobody asks for it."""
    if VARIABLE in os.environ:
        Strict.__getattribute__, Strict.__copy__ = _read, _copy  # type: ignore[method-assign, assignment]


def train_ranks(job: str, number: int) -> object:
    """The product's, recorded: what it starts warm comes from the session's server, and not through `tests.forked`."""
    record()
    return ranks(job, number)


warm.train_ranks = train_ranks
