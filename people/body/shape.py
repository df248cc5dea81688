"""Shape of a body: the base mesh moved by the targets that an identity's numbers weigh."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from people.body.anatomy import anatomy

if TYPE_CHECKING:
    from people.identity import Identity

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
    return {name: SPREAD[name.split("/")[0]] for name in _poles()}


@cache
def _poles() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Per axis the targets of its negative and of its positive end."""
    low_words, high_words = set(OPPOSITES), set(OPPOSITES.values())
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in anatomy().targets:
        folder, _, leaf = name.rpartition("/")
        stem, _, word = leaf.removeprefix("l-").removeprefix("r-").rpartition("-")
        if folder in SPREAD and word in low_words | high_words and not any(part in leaf for part in LEFT_OUT):
            found.setdefault(f"{folder}/{stem}", ([], []))[word in high_words].append(name)
    return {axis: (tuple(low), tuple(high)) for axis, (low, high) in sorted(found.items()) if low and high}


def shaped(who: "Identity") -> np.ndarray:
    """`(V, 3)` float32 rest vertices of a person, decimetres."""
    vertices = anatomy().base.astype(np.float64)

    def add(name: str, weight: float) -> None:
        if weight and name in anatomy().targets:
            target = anatomy().targets[name]
            vertices[target.index] += weight * target.offset

    old = float(np.clip((who.age - 28) / 70, 0, 1))
    for age, of_age in (("young", 1 - old), ("old", old)):
        for ancestry, share in who.ancestry:
            add(f"{ancestry}-{who.sex}-{age}", of_age * share)
        for muscle, of_muscle in _levels("muscle", who.muscle):
            for weight, of_weight in _levels("weight", who.weight):
                add(f"universal-{who.sex}-{age}-{muscle}-{weight}", of_age * of_muscle * of_weight)
        if who.sex == "female":
            cup = "maxcup" if who.bust > 0 else "mincup"
            add(f"breast/female-{age}-averagemuscle-averageweight-{cup}-averagefirmness", of_age * abs(who.bust))
    add(f"head/head-{who.head_shape}", who.head_shape_amount)
    for axis, value in who.details:
        for name in _poles()[axis][value > 0]:
            add(name, abs(value))
    asian = dict(who.ancestry)["asian"]
    for side in ("l", "r"):
        add(f"eyes/{side}-eye-epicanthus-in", 0.5 * asian)
    add("eyebrows/eyebrows-trans-up", 0.4)  # the base mesh frowns
    add("eyebrows/eyebrows-angle-up", 0.5)
    return vertices.astype(np.float32)


def _levels(word: str, value: float) -> tuple[tuple[str, float], ...]:
    low, middle, high = max(0.0, 1 - 2 * value), 1 - abs(2 * value - 1), max(0.0, 2 * value - 1)
    return (f"min{word}", low), (f"average{word}", middle), (f"max{word}", high)
