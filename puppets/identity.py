"""Who a puppet is: named colours with a small jitter, so that the caption is true and identities still differ."""

from dataclasses import dataclass

import numpy as np

# Every colour here has saturation (max - min) / max <= 0.5: the joints' discs are the only saturated pixels.
SKIN = {"pale": (242, 214, 196), "tan": (214, 170, 134), "brown": (160, 116, 88), "dark": (112, 82, 66)}
HAIR = {
    "black": (44, 42, 46),
    "brown": (104, 80, 62),
    "blond": (226, 202, 140),
    "red": (178, 106, 90),
    "grey": (168, 168, 172),
}
SHIRT = {
    "blue": (92, 116, 176),
    "green": (92, 150, 104),
    "purple": (138, 96, 168),
    "orange": (216, 160, 110),
    "white": (232, 232, 228),
}
WALL = {
    "blue": (150, 180, 214),
    "green": (160, 200, 160),
    "pink": (226, 178, 190),
    "sand": (214, 204, 170),
    "slate": (104, 112, 124),
}
PATTERNS = ("plain", "striped")
HEAD_OFFSET = (1.5, 1.0)  # pixels, x and y, that a head may stand from its place


@dataclass(frozen=True)
class Identity:
    """Colours are float RGB in [0, 1]; names say what the caption may claim."""

    names: dict[str, str]
    hair: np.ndarray
    skin: np.ndarray
    shirt: np.ndarray
    wall: np.ndarray
    pattern: str
    head_offset: tuple[float, float]
    pitch: float

    @property
    def colours(self) -> np.ndarray:
        """`(4, 3)` in the order hair, skin, shirt, wall."""
        return np.stack([self.hair, self.skin, self.shirt, self.wall])


def draw_identity(rng: np.random.Generator) -> Identity:
    """Pick a name per part, jitter its colour by at most 0.03 without raising saturation over 0.5."""
    names, colours = {}, {}
    for part, palette in (("hair", HAIR), ("skin", SKIN), ("shirt", SHIRT), ("wall", WALL)):
        names[part] = str(rng.choice(sorted(palette)))
        colour = np.asarray(palette[names[part]]) / 255.0 + rng.uniform(-0.03, 0.03, 3)
        colours[part] = np.clip(np.maximum(colour, 0.5 * colour.max()), 0.0, 0.97)
    return Identity(
        names=names,
        pattern=str(rng.choice(PATTERNS)),
        head_offset=(
            float(rng.uniform(-HEAD_OFFSET[0], HEAD_OFFSET[0])),
            float(rng.uniform(-HEAD_OFFSET[1], HEAD_OFFSET[1])),
        ),
        pitch=float(rng.uniform(95.0, 230.0)),
        **colours,
    )
