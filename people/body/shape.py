"""Shape of a body: the base mesh moved by the targets that an identity's numbers weigh."""

import numpy as np

from people.body.anatomy import anatomy
from people.body.axes import poles
from people.identity import Identity


def shaped(who: Identity) -> np.ndarray:
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
        for name in poles()[axis][value > 0]:
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
