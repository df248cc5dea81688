"""What puts an invisible mark in and reads it: our pattern, or a published network that a setting names."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from provenance.settings import SigningSettings
from provenance.watermark.payload import Payload


class Found(Protocol):
    """What was read of pictures."""

    @property
    def marked(self) -> bool:
        """Whether the mark is there."""
        ...

    @property
    def payload(self) -> Payload | None:
        """What it says; None where no check sum fits."""
        ...

    @property
    def in_place(self) -> bool | None:
        """Whether it lies as it was put in; None of a backend that cannot tell."""
        ...


class Steps(Protocol):
    """What is put into the pictures of one film."""

    def put(self, image: np.ndarray, out: np.ndarray, number: int = 0) -> None:
        """Write `(H, W, 3)` uint8 RGB with the mark to `out`, which `image` itself may be; `number` is the picture's in its film."""
        ...


class Mark(Protocol):
    """A backend."""

    @property
    def name(self) -> str:
        """For people: whose mark it is."""
        ...

    def steps_for(self, frames: np.ndarray, payload: Payload, size: tuple[int, ...]) -> Steps:
        """What says `payload` in `(T, h, w, 3)` uint8 RGB of one film, as pictures of `size` (height and width)."""
        ...

    def find(self, frames: Iterable[np.ndarray]) -> Found:
        """Look for it in `(H, W, 3)` uint8 RGB frames of one size, from a film's beginning on."""
        ...


class Pattern:
    """Our own, `mark` and `find` of this folder."""

    name = "our invisible mark"

    def steps_for(self, frames: np.ndarray, payload: Payload, size: tuple[int, ...]) -> Steps:
        """As `provenance.watermark.mark.steps_for`."""
        from provenance.watermark.mark import steps_for

        return steps_for(frames, payload, size)

    def find(self, frames: Iterable[np.ndarray]) -> Found:
        """As `provenance.watermark.find.find`."""
        from provenance.watermark.find import find

        return find(frames)


PATTERN = Pattern()


def mark_of(settings: SigningSettings) -> Mark:
    """What exports are marked by.

    Raises:
        ProvenanceError: the setting names a network that cannot be used; the message says why.
    """
    if settings.network is None:
        return PATTERN
    from provenance.watermark.network import open_network

    return open_network(settings.network)


def marks_looked_for(settings: SigningSettings) -> list[Mark]:
    """That of the setting first, then the pattern: files that were made before the setting carry it. Raises as `mark_of`."""
    named = mark_of(settings)
    return [PATTERN] if named is PATTERN else [named, PATTERN]
