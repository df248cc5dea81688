"""The damage that videos are given: families of known strength, and which aspect of a video each of them harms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

# What is drawn or when it is shown changes, and its truth with it; pixels stay as sharp as they were.
NONE, MOUTH, STILL_MOUTH, LATE, DROPS, PERSON, MIDWAY, ARMS, HEAD, LIDS = (
    "none", "another mouth", "still mouth", "late", "dropped frames", "another person", "another person midway", "arms moved",
    "head turned", "lids",
)  # fmt: skip
SOUND_LATE, OTHER_SOUND = "sound late", "another sound"  # the picture stays
BLUR, LOW, NOISE, COLOUR, FLICKER, FADING, SMEAR, RECONSTRUCTION = (
    "blur", "low resolution", "noise", "colour shift", "flicker", "fading", "smeared hands", "autoencoder"
)  # fmt: skip
SHOWN = (NONE, MOUTH, STILL_MOUTH, LATE, DROPS, PERSON, MIDWAY, ARMS, HEAD, LIDS)
SOUNDS = (SOUND_LATE, OTHER_SOUND)
PIXELS = (BLUR, LOW, NOISE, COLOUR, FLICKER, FADING, SMEAR, RECONSTRUCTION)
OF_FILM = (
    NONE,
    LATE,
    DROPS,
    PERSON,
    MIDWAY,
    BLUR,
    LOW,
    NOISE,
    COLOUR,
    FLICKER,
    FADING,
)  # what a clip without a truth can be given


@dataclass(frozen=True)
class Step:
    """One damage. `strength` is the family's own: frames late, grey levels of noise, degrees of a turn."""

    family: str
    strength: float = 1.0

    @property
    def name(self) -> str:
        """Of the step in tables."""
        if self == STILL_PICTURE:
            return "still picture"
        return self.family if self.family in UNGRADED else f"{self.family} {self.strength:g}"


STILL_PICTURE = Step(DROPS, 99)
UNGRADED = (NONE, STILL_MOUTH, PERSON, MIDWAY, LIDS, OTHER_SOUND, RECONSTRUCTION)
STRENGTHS: Mapping[str, tuple[float, ...]] = {
    NONE: (0,),
    MOUTH: (0.33, 0.67, 1),  # share of another clip's mouth
    STILL_MOUTH: (1,),
    LATE: (1, 2, 4),  # frames by which the picture comes after the sound
    DROPS: (2, 4, 99),  # frames for which each shown one stands
    PERSON: (1,),
    MIDWAY: (1,),
    ARMS: (0.5, 1.5),  # decimetres
    HEAD: (8, 20),  # degrees
    LIDS: (1,),  # a blink is taken away, or put where there is none
    SOUND_LATE: (1, 2, 4),
    OTHER_SOUND: (1,),
    BLUR: (0.015, 0.04),  # standard deviation in picture heights
    LOW: (2, 4),  # times fewer pixels to a side
    NOISE: (8, 24),  # standard deviation in grey levels
    COLOUR: (0.25,),  # more red and less blue
    FLICKER: (0.05, 0.2),  # most that a frame's gain is off
    FADING: (0.15, 0.4),  # darker at the end
    SMEAR: (0.1, 0.3),  # blur inside the hands' boxes, standard deviation in box sides
    RECONSTRUCTION: (1,),
}
LADDER = tuple(Step(family, strength) for family, strengths in STRENGTHS.items() for strength in strengths)


def held_frames(step: Step, frames: int) -> np.ndarray:
    """`(T,)` which frame is shown at each time where frames are dropped."""
    every = max(1, int(min(step.strength, frames)))
    return np.arange(frames) // every * every


def damage_pixels(step: Step, frames: np.ndarray, hands: np.ndarray | None = None) -> np.ndarray:
    """Damage what stays the same scene.

    Args:
        step: of a family of `PIXELS`, without the autoencoder.
        frames: `(T, H, W, 3)` uint8.
        hands: `(T, 2, 21, 2)` where hands were drawn, NaN where none is shown; for smearing them.
    """
    if step.family == SMEAR:
        return frames if hands is None else _smeared(frames, hands, step.strength)
    return _DAMAGE[step.family](frames, step.strength)


def finest_detail(step: Step, height: int) -> float:
    """Pixels that the smallest detail of a blurred or enlarged picture takes: the width at half height of the blur, or the factor."""
    if step.family == BLUR:
        return max(1.0, 2.355 * step.strength * height)
    return step.strength if step.family == LOW else 1.0


def _blurred(frames: np.ndarray, strength: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(f, (0, 0), strength * frames.shape[1]) for f in frames])


def _low(frames: np.ndarray, factor: float) -> np.ndarray:
    height, width = frames.shape[1:3]
    few = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = [cv2.resize(f, few, interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in small])


def _noisy(frames: np.ndarray, level: float) -> np.ndarray:
    return _to_uint8(frames + np.random.default_rng(0).normal(0, level, frames.shape))


def _tinted(frames: np.ndarray, share: float) -> np.ndarray:
    return _to_uint8(frames * np.array([1 + share, 1, 1 - share]))


def _flickering(frames: np.ndarray, share: float) -> np.ndarray:
    gain = np.random.default_rng(0).uniform(1 - share, 1 + share, len(frames))
    return _to_uint8(frames * gain[:, None, None, None])


def _fading(frames: np.ndarray, share: float) -> np.ndarray:
    return _to_uint8(frames * np.linspace(1, 1 - share, len(frames))[:, None, None, None])


def _smeared(frames: np.ndarray, hands: np.ndarray, strength: float) -> np.ndarray:
    made, (height, width) = frames.copy(), frames.shape[1:3]
    for image, both in zip(made, hands, strict=True):
        for hand in both:
            if not np.isfinite(hand).all():
                continue
            low, high = hand.min(axis=0), hand.max(axis=0)
            pad = 0.25 * (high - low).max()
            x0, y0 = np.maximum(0, np.floor(low - pad)).astype(int)
            x1, y1 = np.minimum((width, height), np.ceil(high + pad) + 1).astype(int)
            if x1 > x0 and y1 > y0:
                part = np.ascontiguousarray(image[y0:y1, x0:x1])
                image[y0:y1, x0:x1] = cv2.GaussianBlur(part, (0, 0), max(0.1, strength * max(x1 - x0, y1 - y0)))
    return made


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


_DAMAGE: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    BLUR: _blurred,
    LOW: _low,
    NOISE: _noisy,
    COLOUR: _tinted,
    FLICKER: _flickering,
    FADING: _fading,
}
