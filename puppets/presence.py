"""Is it a puppet at all: flat hair, skin and wall where every puppet has them, and two dark eyes."""

import cv2
import numpy as np

from puppets.identity import HEAD_OFFSET
from puppets.render import EYE_RADIUS, EYES, HEAD, MOUTH_CENTRE, MOUTH_HALF_WIDTH, MOUTH_OPEN, SIZE, SKULL

# Mean distance from a part's own colour, as a share of full scale. Puppets of every kind after H.264 read 0.014 at most, after the
# laptop profile's autoencoder 0.028; the smoothest of 55 photographs of people 0.082.
FLAT = 0.045
# How much darker than the skin both eyes are: 0.13 at least as drawn, 0.067 after the autoencoder; flat pictures of other things
# 0.045 at most (docs/results/2026-11-29-who-is-seen.md has all four).
EYES_DARKER = 0.055
SPARE = 0.5  # pixels that an edge is kept away from
WALL_ROWS = 22  # above the reach of any arm


def is_puppet(frames: np.ndarray) -> np.ndarray:
    """`(T,)` bool: whether each frame shows a puppet, with or without arms.

    Args:
        frames: `(T, 64, 64, 3)` RGB, uint8 or float in [0, 1]. Of another size nothing is a puppet.
    """
    if frames.shape[1:] != (SIZE, SIZE, 3):
        return np.zeros(len(frames), bool)
    pixels = frames.astype(np.float32) / 255.0 if frames.dtype == np.uint8 else frames.astype(np.float32)
    flat = np.stack([_unevenness(pixels[:, part]) for part in _PARTS]).max(axis=0) <= FLAT
    return flat & (_eye_contrast(pixels) >= EYES_DARKER)


def _unevenness(part: np.ndarray) -> np.ndarray:
    """`(T,)` mean distance of `(T, K, 3)` pixels from their median colour."""
    return np.abs(part - np.median(part, axis=1, keepdims=True)).mean(axis=(1, 2))


def _eye_contrast(pixels: np.ndarray) -> np.ndarray:
    """`(T,)`: by how much the lighter eye is darker than the skin; 3 x 3 means, so that a single dark pixel is no eye."""
    grey = np.stack([cv2.blur(image, (3, 3)) for image in pixels.mean(axis=-1)])
    skin = np.median(grey[:, _SKIN], axis=1)
    reach = np.ceil(HEAD_OFFSET).astype(int)
    darkest = []
    for x, y in np.round(EYES).astype(int):
        window = grey[:, y - reach[1] - 1 : y + reach[1] + 2, x - reach[0] - 1 : x + reach[0] + 2]
        darkest.append(window.min(axis=(1, 2)))
    return skin - np.max(darkest, axis=0)


def _ellipse(centre: np.ndarray, axes: np.ndarray, grown: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return ((x - centre[0]) / (axes[0] + grown[0])) ** 2 + ((y - centre[1]) / (axes[1] + grown[1])) ** 2 < 1


def _parts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(64, 64)` bool of hair, skin and wall: what shows that part wherever the head may be."""
    off = np.asarray(HEAD_OFFSET) + SPARE
    eyes = [_ellipse(eye, np.array([EYE_RADIUS] * 2), off) for eye in EYES]
    mouth = _ellipse(MOUTH_CENTRE, np.array([MOUTH_HALF_WIDTH, MOUTH_OPEN]), off)
    # In its lower half hair is beside the head, where shoulders may be.
    hair = _ellipse(*SKULL, -off) & ~_ellipse(*HEAD, off) & (np.mgrid[:SIZE, :SIZE][0] < SIZE // 2 - 2)
    skin = _ellipse(*HEAD, -off) & ~np.any([*eyes, mouth], axis=0)
    wall = ~(_ellipse(*SKULL, off) | _ellipse(*HEAD, off)) & (np.mgrid[:SIZE, :SIZE][0] < WALL_ROWS)
    return hair, skin, wall


_PARTS = _parts()
_SKIN = _PARTS[1]
