"""Latents in 8 bits: whole numbers, and one scale for each channel of each latent frame."""

import numpy as np

MOST = 127


def to_int8(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round `(N, C, F, h, w)` float16 latents to `(N, C, F, h, w)` int8 and their `(N, C, F)` float32 scales.

    The largest of a channel's frame is 127 steps, so that the error is at most half a 127th of it; it is `latents` as float16
    holds them that is rounded, so that rows that were kept in float16 give the same numbers as rows that are encoded anew.
    """
    exact = latents.astype(np.float16).astype(np.float32)
    scale = np.abs(exact).max(axis=(3, 4)) / MOST
    steps = exact / np.where(scale == 0, 1, scale)[..., None, None]
    return np.rint(steps).astype(np.int8), scale


def from_int8(steps: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """`(N, C, F, h, w)` float32 of what `to_int8` gave."""
    return steps.astype(np.float32) * scale[..., None, None]
