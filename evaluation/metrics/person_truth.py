"""Rendered people, whose truth is known: what metrics hold against what networks read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PersonTruth:
    """What is true of T frames of one rendered person (`people.Person` says how it is measured).

    Attributes:
        keypoints: `(T, 133, 3)` x and y in pixels of the frames; 1 seen, 0.5 in the picture but covered, 0 outside it.
        opening: `(T,)` how far the lips stand apart in space, over the distance of the eyes' outer corners: 0 shut, 0.4 wide open.
        lids: `(T,)` how far they are shut, 0 to 1.
        phones: what the mouth says: symbol, start and end in seconds of the frames.
    """

    keypoints: np.ndarray
    opening: np.ndarray
    lids: np.ndarray
    phones: Sequence[tuple[str, float, float]]

    def phone_at(self, frame: int, fps: float) -> str:
        """The symbol in the middle of a frame; empty where nothing is said."""
        middle = (frame + 0.5) / fps
        return next((symbol for symbol, start, end in self.phones if start <= middle < end), "")
