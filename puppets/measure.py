"""Read a puppet back from pixels: mouth opening, joints, identity colours. Pure numpy, vectorised over frames."""

from dataclasses import dataclass

import numpy as np

from puppets.render import DISC_RADIUS, MOUTH_CENTRE, MOUTH_CLOSED, MOUTH_COLOUR, MOUTH_HALF_WIDTH, MOUTH_OPEN

# (row, column) boxes that hold one colour only for every head offset and pose. Order: hair, skin, shirt, wall.
COLOUR_BOXES = (
    (slice(6, 9), slice(29, 36)),
    (slice(22, 24), slice(27, 38)),
    (slice(47, 50), slice(28, 37)),
    (slice(2, 20), slice(2, 14)),
)
MOUTH_WINDOW = (slice(23, 37), slice(24, 41))
MISSING_MASS = 0.25  # of a full disc; less saturated colour than that is no joint
MOUTH_CONTRAST = 0.05  # skin minus mouth brightness; the darkest skin has 0.2


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
    opening = (measure_mouth(pixels).half_height - MOUTH_CLOSED) / (MOUTH_OPEN - MOUTH_CLOSED)
    return Measurement(opening, joints, mass, missing, measure_colours(pixels))


@dataclass(frozen=True)
class Mouth:
    """The dark ellipse in the mouth window, per frame.

    Attributes:
        half_height: `(T,)` pixels: dark area over pi * half width.
        centre: `(T, 2)` centroid (x, y) of the dark area in pixels, the nominal mouth centre where nothing is dark.
        confidence: `(T,)` in [0, 1]: how much darker than the skin the darkest pixel is, 1 for the mouth's own colour.
    """

    half_height: np.ndarray
    centre: np.ndarray
    confidence: np.ndarray


def measure_mouth(frames: np.ndarray) -> Mouth:
    """Find the mouth in `(T, 64, 64, 3)` RGB frames, uint8 or float in [0, 1]."""
    pixels = frames.astype(np.float32) / 255.0 if frames.dtype == np.uint8 else frames.astype(np.float32)
    window = pixels[:, MOUTH_WINDOW[0], MOUTH_WINDOW[1]].mean(axis=-1)
    rows = window.shape[1]
    border = np.concatenate([window[:, 0], window[:, rows - 1], window[:, :, 0], window[:, :, -1]], axis=1)
    skin = np.median(border, axis=1)[:, None, None]
    contrast = skin - float(MOUTH_COLOUR.mean())
    darkness = np.clip((skin - window) / np.maximum(contrast, 1e-3), 0.0, 1.0)
    # Weak darkness is noise of lossy coding.
    dark = np.where(darkness > 0.12, darkness, 0.0)
    area = dark.sum(axis=(1, 2))
    y, x = np.mgrid[MOUTH_WINDOW].astype(np.float32)
    centre = np.stack([(dark * x).sum(axis=(1, 2)), (dark * y).sum(axis=(1, 2))], axis=-1)
    centre = np.where(area[:, None] > 0, centre / np.maximum(area, 1e-6)[:, None], MOUTH_CENTRE)
    # A face as dark as the mouth itself shows no mouth.
    confidence = np.where(contrast[:, 0, 0] > MOUTH_CONTRAST, darkness.max(axis=(1, 2)), 0.0)
    return Mouth(area / (np.pi * MOUTH_HALF_WIDTH), centre, confidence)


def _measure_joints(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroid of what each disc colour has beyond the 0.5 that any other colour may reach."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    excess = np.stack(
        [
            red - np.maximum(green, blue),
            green - np.maximum(red, blue),
            blue - np.maximum(red, green),
            np.minimum(red, green) - blue,
        ],
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
