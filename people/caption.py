"""One sentence that is true of the picture: a word stands only where enough pixels show what it names."""

import numpy as np

from people.classes import PixelClass
from people.identity import CLOTH, HAIR, HAIR_LENGTH, SKIN, Colour, Identity
from people.raster.scene import linear_of

# Least share of the picture at which a thing is named.
ENOUGH = {PixelClass.HAIR: 0.006, PixelClass.CLOTH: 0.02, PixelClass.GLASSES: 0.0012, PixelClass.BEARD: 0.004}
BEARD_WORDS = {"short": "a short beard", "full": "a full beard", "goatee": "a goatee", "moustache": "a moustache"}
HANDS_SHOWN = 0.5  # share of frames in which a whole hand is seen


def share_of(classes: np.ndarray, kind: PixelClass) -> float:
    """Share of `(T, H, W)` pixels of a class."""
    return float((classes == kind).mean())


def shows_colour(
    frames: np.ndarray, classes: np.ndarray, kind: PixelClass, name: str, palette: dict[str, Colour]
) -> bool:
    """Whether the pixels of a class look like the colour of this name: among the palette's three that come nearest under any light.

    Light scales a colour, so that only its direction and, more weakly, its brightness are compared.
    """
    pixels = linear_of(frames[classes == kind] / 255)
    if not len(pixels):
        return False
    measured = np.median(pixels, axis=0)

    def away(rgb: Colour) -> float:
        colour = linear_of(np.array(rgb)) + 0.01
        ratio = np.log((measured + 0.01) / colour)
        return float(np.abs(ratio - ratio.mean()).sum() + 0.35 * abs(ratio.mean() + 0.3))

    return name in sorted(palette, key=lambda other: away(palette[other]))[:3]


def hands_shown(keypoints: np.ndarray) -> int:
    """How many hands are in view in at least half of the frames of `(T, 133, 3)` keypoints: whole, and most of them not covered."""

    def shown(hand: np.ndarray) -> bool:
        return float(((hand > 0).all(axis=1) & ((hand == 1).mean(axis=1) > 0.5)).mean()) >= HANDS_SHOWN

    return sum(shown(keypoints[:, start : start + 21, 2]) for start in (91, 112))


def write_caption(
    who: Identity, frames: np.ndarray, classes: np.ndarray, keypoints: np.ndarray, place: str, mood: str
) -> str:
    """Say who talks where, and how."""
    age = "young " if who.age < 33 else "old " if who.age > 62 else ""
    feeling = f"{mood} " if mood != "calm" else ""
    noun = "woman" if who.sex == "female" else "man"
    looks = _skin_and_hair(who, frames, classes)
    shown = {kind: share_of(classes, kind) >= least for kind, least in ENOUGH.items()}
    worn = []
    if shown[PixelClass.GLASSES]:
        worn.append("glasses")
    if shown[PixelClass.CLOTH]:
        garment = who.garment
        kind = {"T-shirt": "T-shirt", "tank top": "tank top"}.get(garment.kind, garment.kind)
        colour = (
            f"{garment.colour} "
            if shows_colour(frames, classes, PixelClass.CLOTH, garment.colour, CLOTH) and garment.pattern == "plain"
            else ""
        )
        pattern = f"{garment.pattern} " if garment.pattern != "plain" else ""
        words = f"{pattern}{colour}{kind}"
        worn.append(f"{'an' if words[0] in 'aeiou' else 'a'} {words}")
    wearing = f" wearing {' and '.join(worn)}" if worn else ""
    hands = ("", " with one hand in view", " with both hands in view")[hands_shown(keypoints)]
    start = f"{feeling}{age}{noun}"
    return f"{'An' if start[0] in 'aeiou' else 'A'} {start}{looks}{wearing} talks{hands} in front of {place}."


def _skin_and_hair(who: Identity, frames: np.ndarray, classes: np.ndarray) -> str:
    """Say " with tan skin, short hair and a beard" as far as it is seen; nothing where none of it is."""
    parts = [f"{who.skin} skin"] if shows_colour(frames, classes, PixelClass.SKIN, who.skin, SKIN) else []
    if who.style == "bald":
        parts.append("no hair")
    elif share_of(classes, PixelClass.HAIR) >= ENOUGH[PixelClass.HAIR]:
        colour = f"{who.hair} " if shows_colour(frames, classes, PixelClass.HAIR, who.hair, HAIR) else ""
        parts.append(f"{HAIR_LENGTH[who.style]} {colour}hair")
    if who.beard in BEARD_WORDS and share_of(classes, PixelClass.BEARD) >= ENOUGH[PixelClass.BEARD]:
        parts.append(BEARD_WORDS[who.beard])
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + "".join(parts[-1:])
    return f" with {listed}" if parts else ""
