"""How a registered model version is named, by people, in links and in MLflow. Nothing of MLflow is imported."""

import re
from dataclasses import dataclass
from typing import Self

from media.user_error import UserError

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"  # aliases
SCHEME = "models:/"
_ADDRESS = re.compile(r"(?:(?P<name>[^/@:]+)(?P<mark>[@:/]))?(?P<which>[^/@:]+)")


class ModelAddressError(UserError, ValueError):
    """A text that names no model version; the message says how one is named."""


@dataclass(frozen=True)
class ModelAddress:
    """A version of a registered model, by number, or by the alias that stands at it.

    Attributes:
        name: of the registered model.
        alias: that stands at the version; empty where `version` is given.
        version: its number; None where `alias` is given.
    """

    name: str
    alias: str = ""
    version: int | None = None

    def __post_init__(self) -> None:
        if bool(self.alias) == (self.version is not None):
            raise ModelAddressError(f"a version of {self.name} is named by an alias or a number, one of them")

    def __str__(self) -> str:
        """As MLflow writes it: `models:/NAME@ALIAS` or `models:/NAME/3`."""
        return f"{SCHEME}{self.name}@{self.alias}" if self.version is None else f"{SCHEME}{self.name}/{self.version}"

    @classmethod
    def parse(cls, text: str, default_name: str) -> Self:
        """Read `3`, `ALIAS`, `NAME@ALIAS`, `NAME:3`, `NAME:ALIAS` or `NAME/3`, each also behind `models:/`; `models:/NAME` is its champion.

        Args:
            text: what was given.
            default_name: of the model that a number or an alias alone is of.

        Raises:
            ModelAddressError: it is none of these.
        """
        parts = _ADDRESS.fullmatch(text.removeprefix(SCHEME))
        if parts is None or (parts["mark"] == "/" and not parts["which"].isdecimal()):
            raise ModelAddressError(
                f"{text}: write {SCHEME}NAME@ALIAS or {SCHEME}NAME/VERSION, for example {SCHEME}{default_name}@{CHAMPION}"
            )
        if parts["name"] is None and text.startswith(SCHEME):
            return cls(parts["which"], CHAMPION)
        name, which = parts["name"] or default_name, parts["which"]
        return cls(name, version=int(which)) if parts["mark"] != "@" and which.isdecimal() else cls(name, which)


def is_address(text: str) -> bool:
    """Whether a text can only mean a registered version: it has a mark between name and version, or is a known alias or a short number."""
    short_number = text.isdecimal() and len(text) < 6  # longer ones may be digits of a digest
    return any(mark in text for mark in ":@/") or short_number or text in (CHALLENGER, CHAMPION, PREVIOUS)
