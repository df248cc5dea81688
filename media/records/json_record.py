"""A JSON file with named values: read whole or refused with its name and what to do, written as it was read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from media.user_error import UserError


class RecordError(UserError):
    """A record that is missing, broken, or of an older version; the message names the file and what mends it."""


@dataclass(frozen=True)
class JsonRecord:
    """The values of one file, in its order; keys that this version does not know are kept.

    Attributes:
        values: what the file holds.
        place: the file, or in words where its bytes came from.
    """

    FILE: ClassVar[str]
    REMEDY: ClassVar[str]
    SORTED: ClassVar[bool] = False

    values: Mapping[str, Any]
    place: str = field(default="", compare=False)

    @classmethod
    def path(cls, folder: Path) -> Path:
        """Where the record of `folder` lies."""
        return folder / cls.FILE

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of `folder`.

        Raises:
            RecordError: it is missing or broken.
        """
        return cls.read_file(cls.path(folder))

    @classmethod
    def read_file(cls, path: Path) -> Self:
        """Read a record wherever it lies, under whatever name, such as in DVC's cache.

        Raises:
            RecordError: it is missing or broken.
            OSError: the disk does not give it, which another try may mend.
        """
        try:
            encoded = path.read_bytes()
        except FileNotFoundError as error:
            raise RecordError(f"there is no {path}; {cls.REMEDY}") from error
        return cls.parse(encoded, str(path))

    @classmethod
    def read_if_there(cls, folder: Path) -> Self | None:
        """Read the record of `folder`; None where there is none.

        Raises:
            RecordError: it is broken.
        """
        return cls.read(folder) if cls.path(folder).is_file() else None

    @classmethod
    def parse(cls, encoded: bytes, place: str) -> Self:
        """Read a record from bytes that came from `place`.

        Raises:
            RecordError: they are no JSON object.
        """
        try:
            values = json.loads(encoded)
        except ValueError as error:
            raise RecordError(f"{place} is broken ({error}); {cls.REMEDY}") from error
        if not isinstance(values, dict):
            raise RecordError(f"{place} is broken (it holds no object); {cls.REMEDY}")
        return cls(values, place)

    def write(self, folder: Path) -> Path:
        """Write the record into `folder`, a draft that is published whole (`media.whole_directory`); returns its path."""
        path = self.path(folder)
        path.write_text(json.dumps(self.values, indent=1, sort_keys=self.SORTED) + "\n")
        return path

    def require(self, key: str) -> Any:
        """One value.

        Raises:
            RecordError: the file has none of this name.
        """
        if key not in self.values:
            raise RecordError(f"{self.place or self.FILE} has no {key!r}, it is of another version; {self.REMEDY}")
        return self.values[key]
