"""Read a puppet back from pixels: mouth opening, joints, identity colours. Pure numpy, vectorised over frames."""

from dataclasses import dataclass

import numpy as np

from puppets.render import DISC_RADIUS, MOUTH_CENTRE, MOUTH_CLOSED, MOUTH_COLOUR, MOUTH_HALF_WIDTH, MOUTH_OPEN

# (row, column) boxes that hold one colour only for every head offset and pose. Order: hair, skin, shirt, wall.
COLOUR_BOXES = ((slice(6, 9), slice(29, 36)), (slice(22, 24), slice(27, 38)), (slice(47, 50), slice(28, 37)), (slice(2, 20), slice(2, 14)))
MOUTH_WINDOW = (slice(23, 37), slice(24, 41))
MISSING_MASS = 0.25  # of a full disc; less saturated colour than that is no joint


@dataclass(frozen=True)
class Measurement:
    """What the pixels of a `(T, 64, 64, 3)` clip say.

    Attributes:
        opening: `(T,)` mouth opening; 0 closed, 1 open, not clipped.
        joints: `(T, 4, 2)` centres (x, y) in pixels, NaN where missing.
        mass: `(T, 4)` saturated area over the area of a full disc.
        missing: `(T, 4)` bool, `mass` below 0.25.
        colours: `(T, 4, 3)` mean RGB in [0, 1] of hair, skin, shirt, wall.
    """

    opening: np.ndarray
    joints: np.ndarray
    mass: np.ndarray
    missing: np.ndarray
    colours: np.ndarray


def measure(frames: np.ndarray) -> Measurement:
    """Measure every frame of a clip.

    Args:
        frames: `(T, 64, 64, 3)` RGB, uint8 or float in [0, 1].

    Raises:
        ValueError: any other shape; the boxes above are only meaningful on the puppet canvas.
    """
    if frames.ndim != 4 or frames.shape[1:] != (64, 64, 3):
        raise ValueError(f"puppets are measured on (T, 64, 64, 3) frames, got {frames.shape}")
    pixels = frames.astype(np.float32) / 255.0 if frames.dtype == np.uint8 else frames.astype(np.float32)
    joints, mass = _measure_joints(pixels)
    missing = mass < MISSING_MASS
    joints[missing] = np.nan
    return Measurement(_measure_mouth(pixels), joints, mass, missing, measure_colours(pixels))


def _measure_mouth(pixels: np.ndarray) -> np.ndarray:
    """Dark area in the mouth window over the area per unit of half height: pi * half width * half height."""
    window = pixels[:, MOUTH_WINDOW[0], MOUTH_WINDOW[1]].mean(axis=-1)
    rows = window.shape[1]
    border = np.concatenate([window[:, 0], window[:, rows - 1], window[:, :, 0], window[:, :, -1]], axis=1)
    skin = np.median(border, axis=1)[:, None, None]
    dark = float(MOUTH_COLOUR.mean())
    darkness = np.clip((skin - window) / np.maximum(skin - dark, 1e-3), 0.0, 1.0)
    # Row coverage within the mouth's own columns is robust to lossy coding: weak darkness elsewhere is noise.
    area = np.where(darkness > 0.12, darkness, 0.0).sum(axis=(1, 2))
    half_height = area / (np.pi * MOUTH_HALF_WIDTH)
    return (half_height - MOUTH_CLOSED) / (MOUTH_OPEN - MOUTH_CLOSED)


def _measure_joints(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroid of what each disc colour has beyond the 0.5 that any other colour may reach."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    excess = np.stack(
        [red - np.maximum(green, blue), green - np.maximum(red, blue), blue - np.maximum(red, green), np.minimum(red, green) - blue],
        axis=1,
    )
    weight = np.clip(2.0 * (excess - 0.5), 0.0, 1.0)
    total = weight.sum(axis=(2, 3))
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    centre = np.stack([(weight * x).sum(axis=(2, 3)), (weight * y).sum(axis=(2, 3))], axis=-1)
    return centre / np.maximum(total, 1e-6)[..., None], total / (np.pi * DISC_RADIUS**2)


def measure_colours(frames: np.ndarray) -> np.ndarray:
    """`(T, 4, 3)` mean colours in [0, 1] of the hair, skin, shirt and wall boxes."""
    pixels = frames.astype(np.float32) / 255.0 if frames.dtype == np.uint8 else frames
    return np.stack([pixels[:, rows, columns].mean(axis=(1, 2)) for rows, columns in COLOUR_BOXES], axis=1)


def mouth_centre() -> np.ndarray:
    """`(2,)` nominal mouth centre (x, y) in pixels."""
    return MOUTH_CENTRE.copy()
