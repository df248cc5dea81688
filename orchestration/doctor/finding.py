"""One answer of `omnihuman doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, and what was found or should be done."""

    name: str
    ok: bool
    message: str
