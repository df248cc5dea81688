"""What a step of the autoencoder of people sees: whole pictures, or crops around a face, a mouth or a hand, and what weighs how much in them."""

import numpy as np
import torch
from torch import Tensor

from omnihuman.autoencoder import to_pixels
from training.recipes.people_clips import REGIONS, ClipsOnDisk


def weight_map(boxes: np.ndarray, size: int, region_weights: tuple[float, ...]) -> np.ndarray:
    """`(..., size, size)` float32 of `(..., 4, 4)` boxes: each region's weight, the larger where two meet, 1 elsewhere."""
    out = np.ones((*boxes.shape[:-2], size, size), np.float32)
    for place in np.ndindex(*boxes.shape[:-2]):
        for r in np.argsort(region_weights):
            left, top, right, bottom = boxes[place][r]
            out[place][top:bottom, left:right] = region_weights[r]
    return out


def draw_batch(
    clips: ClipsOnDisk,
    rng: np.random.Generator,
    batch: int,
    length: int,
    crop: int | None,
    region_weights: tuple[float, ...],
    crop_odds: tuple[float, ...] = (1.0,) * len(REGIONS),
) -> tuple[Tensor, Tensor]:
    """Draw a step's clips, every other one mirrored.

    Args:
        clips: where they lie.
        rng: decides everything.
        batch: whole pictures' clips; of crops, which are a quarter, four times as many.
        length: frames of each.
        crop: side of the crops in pixels, None for whole pictures.
        region_weights: of `people_clips.REGIONS`.
        crop_odds: of them too: how much likelier a crop shows one than another.

    Returns:
        `(B, 3, T, H, W)` pixels in [-1, 1] and `(B, 1, T, H, W)` weights.
    """
    pixels, weights = [], []
    for _ in range(batch * (4 if crop else 1)):
        frames, boxes = clips.draw(rng, length)
        size = frames.shape[1]
        weight = weight_map(boxes, size, region_weights)
        if crop:
            part = crop_around(boxes, size, crop, rng, crop_odds)
            frames, weight = frames[:, part[0], part[1]], weight[:, part[0], part[1]]
        if rng.random() < 0.5:
            frames, weight = frames[:, :, ::-1], weight[:, :, ::-1]
        pixels.append(np.ascontiguousarray(frames))
        weights.append(np.ascontiguousarray(weight))
    return to_pixels(torch.from_numpy(np.stack(pixels))), torch.from_numpy(np.stack(weights))[:, None]


def crop_around(
    boxes: np.ndarray,
    size: int,
    crop: int,
    rng: np.random.Generator,
    odds: tuple[float, ...] = (1.0,) * len(REGIONS),
) -> tuple[slice, slice]:
    """Rows and columns of a crop around one of the regions that are seen in the middle frame, a quarter of a crop off at most."""
    middle = boxes[len(boxes) // 2]
    seen = [r for r in range(len(REGIONS)) if middle[r].any()]
    if not seen:
        top, left = rng.integers(size - crop + 1, size=2)
    else:
        shares = np.cumsum([odds[r] for r in seen])
        box = middle[seen[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]]
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-crop / 4, crop / 4, 2)
        left, top = np.clip(np.round(centre - crop / 2), 0, size - crop).astype(int)
    return slice(int(top), int(top) + crop), slice(int(left), int(left) + crop)
