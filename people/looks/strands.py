"""Texture of hair: strands along v from root to tip, four different ones side by side."""

import zlib

import numpy as np

from people.identity import Identity
from people.looks.noise import smooth_noise
from people.raster.scene import coded, linear_of

VARIANTS = 4


def strand_texture(who: Identity, size: int) -> np.ndarray:
    """`(size, size, 4)` uint8: v from root to tip, u in `VARIANTS` columns of cards."""
    rng = np.random.default_rng([who.seed, zlib.crc32(b"strands")])
    v = (np.arange(size)[:, None] + 0.5) / size
    fine = smooth_noise(rng, (size, size), (4, size // 2))
    wide = smooth_noise(rng, (size, size), (3, size // 5))
    value = 1 + 0.16 * np.clip(fine, -2, 2) + 0.20 * np.clip(wide, -2, 2)
    grey = who.hair in ("grey", "white")
    colour = linear_of(np.array(who.hair_rgb)) * np.clip(value, 0.35, 1.9)[..., None]
    if grey:
        colour = colour * (0.8 + 0.2 * np.clip(smooth_noise(rng, (size, size), (2, size // 2)), -1, 1))[..., None]
    across = (np.arange(size) * VARIANTS / size) % 1
    sides = np.clip(np.minimum(across, 1 - across) * 9, 0, 1)
    gaps = smooth_noise(rng, (size, size), (3, size // 4)) * 0.6 + fine * 0.3
    alpha = np.clip(1.6 + 0.7 * gaps - 1.5 * v**3, 0, 1) * (0.25 + 0.75 * sides[None])
    alpha = np.where(v < 0.04, alpha * v / 0.04, alpha)
    return np.concatenate([coded(colour), np.round(alpha * 255)[..., None]], axis=2).astype(np.uint8)


def scalp_texture(who: Identity, size: int) -> np.ndarray:
    """`(size, size, 4)` uint8 of the layer below the strands: u around the head, v = 0 at the hairline, where it thins out."""
    rng = np.random.default_rng([who.seed, zlib.crc32(b"scalp")])
    v = (np.arange(size)[:, None] + 0.5) / size
    grain = smooth_noise(rng, (size, size), (size // 4, size // 2))
    colour = linear_of(np.array(who.hair_rgb)) * np.clip(0.80 + 0.28 * grain, 0.3, 1.5)[..., None]
    alpha = np.clip(0.15 + 5.5 * v + 0.5 * smooth_noise(rng, (size, size), (size // 8, size // 2)), 0, 1)
    return np.concatenate([coded(colour), np.round(alpha * 255)[..., None]], axis=2).astype(np.uint8)


def curl_texture(who: Identity, size: int) -> np.ndarray:
    """`(size, size, 4)` uint8 of tight curls: round patches of light and dark with holes."""
    rng = np.random.default_rng([who.seed, zlib.crc32(b"curls")])
    v = (np.arange(size)[:, None] + 0.5) / size
    bumps = smooth_noise(rng, (size, size), (size // 6, size // 6))
    colour = linear_of(np.array(who.hair_rgb)) * np.clip(0.95 + 0.5 * bumps, 0.25, 2.2)[..., None]
    across = (np.arange(size) * VARIANTS / size) % 1
    sides = np.clip(np.minimum(across, 1 - across) * 5, 0, 1)
    alpha = np.clip(1.2 + 0.9 * smooth_noise(rng, (size, size), (size // 5, size // 5)) - 1.0 * v**2, 0, 1) * (
        0.2 + 0.8 * sides[None]
    )
    return np.concatenate([coded(colour), np.round(alpha * 255)[..., None]], axis=2).astype(np.uint8)
