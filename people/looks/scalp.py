"""Where hair grows: hairline, brows and beard as functions of a place on the base mesh."""

import numpy as np

from people.looks.noise import step

HEAD_CENTRE = np.array([0.0, 7.45, 0.55])
# Angle from the front in degrees, and height of the hairline on the base mesh in decimetres.
HAIRLINE = np.array(
    [
        (0, 8.04),
        (22, 8.03),
        (40, 7.93),
        (54, 7.66),
        (64, 7.45),
        (71, 7.28),
        (78, 7.38),
        (92, 7.42),
        (104, 7.30),
        (118, 6.96),
        (140, 6.62),
        (180, 6.52),
    ]
)
RECEDED = np.array(
    [
        (0, 8.22),
        (16, 8.30),
        (34, 8.30),
        (50, 8.02),
        (60, 7.60),
        (71, 7.32),
        (78, 7.38),
        (92, 7.42),
        (104, 7.30),
        (118, 6.96),
        (140, 6.62),
        (180, 6.52),
    ]
)


def azimuth(places: np.ndarray) -> np.ndarray:
    """Degrees from straight ahead, 0 to 180, around the head's vertical axis of `(..., 3)` places."""
    return np.degrees(np.arctan2(np.abs(places[..., 0]), places[..., 2] - HEAD_CENTRE[2]))


def above_hairline(places: np.ndarray, receded: bool = False) -> np.ndarray:
    """Decimetres of `(..., 3)` places on the base mesh above the hairline; negative where no hair grows."""
    line = RECEDED if receded else HAIRLINE
    return places[..., 1] - np.interp(azimuth(places), line[:, 0], line[:, 1])


def brow(places: np.ndarray, thickness: float) -> np.ndarray:
    """Share of `(..., 3)` places that a brow covers, in [0, 1]."""
    x, y, z = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    along = (x - 0.13) / 0.50
    middle = 7.448 + 0.055 * np.sin(np.pi * np.clip(along, 0, 1) ** 1.3) - 0.03 * np.clip(along - 0.7, 0, 1) / 0.3
    half = thickness * 0.038 * np.clip(1.15 - 0.75 * along, 0.15, 1)
    ends = step(along, -0.06, 0.06) * step(along, 1.05, 0.88)
    return step(np.abs(y - middle), half + 0.016, half * 0.45) * ends * (z > 0.8)


def beard(places: np.ndarray, kind: str) -> np.ndarray:
    """Share of `(..., 3)` places that a beard of a kind covers, in [0, 1]."""
    x, y, z = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    front = z > 0.35
    cheek_line = 6.60 + np.clip(x - 0.27, 0, 1) * 1.05
    jaw_line = 6.06 + 0.40 * np.clip((1.2 - z) / 0.8, 0, 1)  # no beard down the neck
    jaw = step(y, cheek_line + 0.05, cheek_line - 0.07) * step(y, jaw_line - 0.06, jaw_line + 0.06) * front
    moustache = step(x, 0.36, 0.30) * step(y, 6.84, 6.80) * step(y, 6.60, 6.66) * (z > 1.1)
    if kind == "none":
        return np.zeros(np.shape(y))
    if kind == "moustache":
        return moustache
    if kind == "goatee":
        chin = step(x, 0.30, 0.22) * step(y, 6.60, 6.52) * step(y, 6.02, 6.10) * (z > 0.9)
        return np.maximum(moustache, chin)
    return np.maximum(jaw, moustache)
