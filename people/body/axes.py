"""Axes along which faces and bodies differ: pairs of the pack's targets, and how much people differ along each."""

from functools import cache

from people.body.anatomy import anatomy

HEAD_SHAPES = ("oval", "round", "rectangular", "square", "triangular", "invertedtriangular", "diamond")
OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
}
# Standard deviation of a face axis, by its folder: eyes and mouths of equal spread look ill.
SPREAD = {
    "eyes": 0.20,
    "mouth": 0.20,
    "nose": 0.26,
    "chin": 0.24,
    "cheek": 0.24,
    "ears": 0.2,
    "eyebrows": 0.2,
    "forehead": 0.2,
    "head": 0.13,
    "neck": 0.2,
    "torso": 0.25,
}
# Axes that age, slim, shift or widen a whole part: the macro shapes do that, or it looks wrong.
LEFT_OUT = (
    "head-age",
    "head-fat",
    "head-angle",
    "trans",
    "epicanthus",
    "double",
    "push",
    "bag",
    "cleft",
    "jaw-drop",
    "septum",
    "neck-height",
    "laugh-lines",
    "dimples",
    "measure-neck",
)


@cache
def detail_axes() -> dict[str, float]:
    """Names of the face axes, both sides in one, and how much people differ along each."""
    return {name: SPREAD[name.split("/")[0]] for name in poles()}


@cache
def poles() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Per axis the targets of its negative and of its positive end."""
    low_words, high_words = set(OPPOSITES), set(OPPOSITES.values())
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in anatomy().targets:
        folder, _, leaf = name.rpartition("/")
        stem, _, word = leaf.removeprefix("l-").removeprefix("r-").rpartition("-")
        if folder in SPREAD and word in low_words | high_words and not any(part in leaf for part in LEFT_OUT):
            found.setdefault(f"{folder}/{stem}", ([], []))[word in high_words].append(name)
    return {axis: (tuple(low), tuple(high)) for axis, (low, high) in sorted(found.items()) if low and high}
