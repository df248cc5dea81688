"""Classes of the id buffer: what each pixel shows."""

from enum import IntEnum


class PixelClass(IntEnum):
    """What most samples of a pixel show."""

    BACKGROUND = 0
    SKIN = 1
    EYE = 2
    TEETH = 3
    MOUTH = 4  # inside it: tongue and cavity
    LASHES = 5
    HAIR = 6
    BEARD = 7
    CLOTH = 8
    GLASSES = 9
    TEXT = 10  # burnt in, by a kind that breaks a rule
