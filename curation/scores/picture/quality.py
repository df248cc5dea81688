"""A picture-quality number that needs no weights. It is no Q-Align, and is not named like one."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from curation.scores.picture.compression import blockiness
from curation.scores.picture.exposure import histogram, lost_shares
from curation.scores.picture.noise import noise
from curation.scores.picture.sharpness import sharpness
from profiles.scores import QualityConfig

DARK, BRIGHT = 8.0, 250.0


def weightless_quality(grey: np.ndarray, config: QualityConfig) -> float:
    """In [0, 1]: the geometric mean of how sharp, how free of noise, of blocks and of lost exposure `(T, H, W)` uint8 is.

    Each part is 1/2 at the configured value: s / (s + s0) for sharpness, x0 / (x0 + x) for the faults. It knows nothing
    of faces, composition or taste: a crisp test card scores best.
    """
    lost = sum(lost_shares(histogram(grey), DARK, BRIGHT))
    sharp = sharpness(grey)
    parts = [
        sharp / (sharp + config.sharpness),
        config.noise / (config.noise + noise(grey)),
        config.blockiness / (config.blockiness + blockiness(grey)),
        config.lost / (config.lost + lost),
    ]
    return float(np.prod(parts) ** (1 / len(parts)))


def score(material: Material, config: QualityConfig) -> Values:
    """Column `weightless_quality`, of the middle picture."""
    pictures = material.native_grey
    middle = len(pictures) // 2
    return {"weightless_quality": weightless_quality(pictures[middle : middle + 1], config)}


QUALITY = Score("quality", "1", floats("weightless_quality"), ("native",), score)
