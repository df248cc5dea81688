"""Who is drawn: everything that stays the same about a person, from one seed."""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from people.body.axes import HEAD_SHAPES, detail_axes

Sex = Literal["female", "male"]
Colour = tuple[float, float, float]

# sRGB in [0, 1] of what is named in captions.
SKIN: dict[str, Colour] = {
    "pale": (0.93, 0.77, 0.69),
    "light": (0.87, 0.68, 0.57),
    "tan": (0.76, 0.56, 0.43),
    "brown": (0.56, 0.38, 0.28),
    "dark": (0.37, 0.24, 0.18),
}
HAIR: dict[str, Colour] = {
    "black": (0.075, 0.065, 0.065),
    "dark brown": (0.20, 0.14, 0.11),
    "brown": (0.35, 0.24, 0.16),
    "blond": (0.74, 0.58, 0.37),
    "red": (0.52, 0.24, 0.12),
    "grey": (0.55, 0.54, 0.54),
    "white": (0.84, 0.82, 0.80),
}
CLOTH: dict[str, Colour] = {
    "white": (0.90, 0.89, 0.87),
    "black": (0.09, 0.09, 0.10),
    "grey": (0.48, 0.49, 0.51),
    "blue": (0.20, 0.38, 0.70),
    "navy": (0.11, 0.15, 0.30),
    "red": (0.70, 0.15, 0.15),
    "green": (0.18, 0.46, 0.25),
    "yellow": (0.88, 0.72, 0.22),
    "purple": (0.42, 0.24, 0.55),
    "orange": (0.87, 0.46, 0.16),
    "pink": (0.88, 0.56, 0.64),
    "brown": (0.40, 0.27, 0.18),
    "beige": (0.80, 0.71, 0.58),
    "teal": (0.12, 0.46, 0.48),
}
EYES: dict[str, Colour] = {
    "brown": (0.33, 0.20, 0.11),
    "dark": (0.20, 0.12, 0.08),
    "hazel": (0.44, 0.34, 0.17),
    "green": (0.36, 0.44, 0.28),
    "blue": (0.36, 0.50, 0.66),
    "grey": (0.47, 0.53, 0.57),
}
FEMALE_HAIR = {
    "long": 4,
    "wavy": 4,
    "bob": 4,
    "pixie": 2,
    "ponytail": 3,
    "bun": 2,
    "curly": 2,
    "afro": 0.5,
    "fringe": 2,
}
MALE_HAIR = {
    "parted": 4,
    "crop": 4,
    "buzz": 2,
    "slick": 2.5,
    "curls": 1.5,
    "afro": 0.4,
    "shoulder": 0.7,
    "bald": 1.2,
    "receding": 2,
}
HAIR_LENGTH = {
    "long": "long", "wavy": "long wavy", "bob": "chin-length", "pixie": "short", "ponytail": "tied-back", "bun": "tied-back", "curly": "curly",
    "afro": "curly", "fringe": "long", "parted": "short", "crop": "short", "buzz": "cropped", "slick": "short", "curls": "short curly",
    "shoulder": "shoulder-length", "bald": "no", "receding": "short",
}  # fmt: skip
BEARDS = {"none": 5, "stubble": 3, "short": 2, "full": 1.5, "moustache": 0.6, "goatee": 0.8}
GARMENTS = ("T-shirt", "shirt", "sweater", "turtleneck", "suit", "blouse", "tank top", "polo shirt")
PATTERNS = {"plain": 6, "striped": 2, "checked": 1.2, "dotted": 0.8}


@dataclass(frozen=True)
class Garment:
    """What is worn: kind of `GARMENTS`, sleeve "none", "short" or "long", main and second colour by name and sRGB, pattern."""

    kind: str
    neckline: str
    sleeve: str
    colour: str
    rgb: Colour
    second: str
    second_rgb: Colour
    pattern: str
    scale: float


@dataclass(frozen=True)
class Identity:
    """A person. Colours are sRGB in [0, 1]; shape values are weights of the pack's targets.

    Attributes:
        sex, age: years; ancestry: weights of the mesh's three macro shapes, sum 1.
        muscle, weight: in [0, 1], 0.5 the average; details: face axis to a value in [-1, 1].
        skin, hair, eyes: names from the palettes, with the exact colours beside them.
        style: of the hair; length: a factor of the style's; parting: x of it, in [-1, 1].
        brows: thickness; beard: one of `BEARDS`; glasses: "none", "thin", "dark" or "round".
        lips: how much redder than skin; freckles, wrinkles: strength in [0, 1].
    """

    seed: int
    sex: Sex
    age: float
    ancestry: tuple[tuple[str, float], ...]
    muscle: float
    weight: float
    bust: float
    details: tuple[tuple[str, float], ...]
    head_shape: str
    head_shape_amount: float
    skin: str
    skin_rgb: Colour
    hair: str
    hair_rgb: Colour
    style: str
    length: float
    parting: float
    eyes: str
    eyes_rgb: Colour
    brows: float
    beard: str
    glasses: str
    lips: float
    freckles: float
    wrinkles: float
    garment: Garment


def draw_identity(seed: int) -> Identity:
    """Draw the person of a seed: same seed, same person, in every clip."""
    rng = np.random.default_rng([seed, zlib.crc32(b"identity")])
    sex: Sex = "female" if rng.random() < 0.5 else "male"
    age = float(np.clip(18 + rng.gamma(2.0, 11.0), 18, 82))
    main = str(rng.choice(["african", "asian", "caucasian"]))
    mix = rng.dirichlet([0.6, 0.6, 0.6])
    ancestry = tuple(
        (k, float(0.75 * (k == main) + 0.25 * m)) for k, m in zip(("african", "asian", "caucasian"), mix, strict=True)
    )
    tones = {"african": ("brown", "dark"), "asian": ("light", "tan"), "caucasian": ("pale", "light", "tan")}[main]
    skin = str(rng.choice(tones))
    chances = {
        "african": [0.75, 0.22, 0.03, 0, 0],
        "asian": [0.66, 0.26, 0.08, 0, 0],
        "caucasian": [0.1, 0.25, 0.28, 0.25, 0.12],
    }[main]
    hair = str(rng.choice(["black", "dark brown", "brown", "blond", "red"], p=chances))
    if age > 48 and rng.random() < (age - 42) / 35:
        hair = "white" if age > 62 and rng.random() < 0.5 else "grey"
    styles = FEMALE_HAIR if sex == "female" else MALE_HAIR
    chosen = {s: w * (8 if s == "afro" and main == "african" else 0 if s == "afro" else 1) for s, w in styles.items()}
    if age < 38:
        chosen = {s: w * (0.15 if s in ("receding", "bald") else 1) for s, w in chosen.items()}
    style = _weighted(rng, chosen)
    eyes = _weighted(
        rng,
        {"brown": 3, "hazel": 1.5, "green": 1, "blue": 3, "grey": 1}
        if main == "caucasian"
        else {"brown": 2, "dark": 3},
    )
    beard = _weighted(rng, BEARDS) if sex == "male" else "none"
    return Identity(
        seed=seed,
        sex=sex,
        age=round(age, 1),
        ancestry=ancestry,
        muscle=float(np.clip(rng.normal(0.55 if sex == "male" else 0.42, 0.13), 0, 1)),
        weight=float(np.clip(rng.normal(0.5, 0.17), 0.05, 1)),
        bust=float(rng.uniform(-0.6, 0.6)),
        details=tuple(
            (axis, float(np.clip(rng.normal(0, spread), -2.2 * spread, 2.2 * spread)))
            for axis, spread in detail_axes().items()
        ),
        head_shape=str(rng.choice(HEAD_SHAPES)),
        head_shape_amount=float(rng.uniform(0, 0.3)),
        skin=skin,
        skin_rgb=_varied(rng, SKIN[skin], 0.05),
        hair=hair,
        hair_rgb=_varied(rng, HAIR[hair], 0.10),
        style=style,
        length=float(rng.uniform(0.8, 1.2)),
        parting=float(rng.choice([-0.45, -0.3, 0.0, 0.3, 0.45])),
        eyes=eyes,
        eyes_rgb=_varied(rng, EYES[eyes], 0.12),
        brows=float(rng.uniform(0.7, 1.15) if sex == "female" else rng.uniform(1.0, 1.6)),
        beard=beard,
        glasses=_weighted(rng, {"none": 7, "thin": 1, "dark": 1.3, "round": 0.8}),
        lips=float(rng.choice([0.25, 0.5, 0.9], p=[0.4, 0.35, 0.25]) if sex == "female" else rng.uniform(0.05, 0.3)),
        freckles=float(rng.random() < 0.25) * float(rng.random()) if skin in ("pale", "light") else 0.0,
        wrinkles=float(np.clip((age - 32) / 40, 0, 1)),
        garment=draw_garment(rng, sex),
    )


def draw_garment(rng: np.random.Generator, sex: Sex) -> Garment:
    """Draw what is worn."""
    chances = {"T-shirt": 3.0, "shirt": 2.5, "sweater": 2.5, "turtleneck": 1.0, "polo shirt": 1.2}
    chances |= {"blouse": 2.5, "tank top": 1.0, "suit": 0.8} if sex == "female" else {"suit": 2.5}
    kind = _weighted(rng, chances)
    necklines = {
        "T-shirt": ("crew", "crew", "V"), "sweater": ("crew", "crew", "V"), "turtleneck": ("high",), "blouse": ("V", "scoop", "boat"),
        "tank top": ("scoop",), "shirt": ("collar",), "polo shirt": ("collar",), "suit": ("collar",),
    }  # fmt: skip
    sleeves = {
        "T-shirt": ("short",),
        "polo shirt": ("short",),
        "tank top": ("none",),
        "blouse": ("short", "long"),
        "shirt": ("long", "long", "short"),
    }
    colour = str(rng.choice(["black", "navy", "grey", "brown", "beige"] if kind == "suit" else list(CLOTH)))
    second = str(rng.choice([c for c in (("white", "blue", "pink") if kind == "suit" else CLOTH) if c != colour]))
    pattern = "plain" if kind in ("suit", "turtleneck", "tank top") else _weighted(rng, PATTERNS)
    return Garment(
        kind=kind, neckline=str(rng.choice(necklines[kind])), sleeve=str(rng.choice(sleeves.get(kind, ("long",)))), colour=colour,
        rgb=_varied(rng, CLOTH[colour], 0.06), second=second, second_rgb=_varied(rng, CLOTH[second], 0.06), pattern=pattern, scale=float(rng.uniform(0.7, 1.4)),
    )  # fmt: skip


def _weighted(rng: np.random.Generator, chances: dict[str, float]) -> str:
    weights = np.array(list(chances.values()), float)
    return str(rng.choice(list(chances), p=weights / weights.sum()))


def _varied(rng: np.random.Generator, rgb: Colour, by: float) -> Colour:
    gain = 1 + rng.uniform(-by, by)
    r, g, b = (float(np.clip(c * gain * (1 + rng.uniform(-by, by) / 3), 0, 1)) for c in rgb)
    return r, g, b
