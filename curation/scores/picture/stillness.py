"""Stillness: frames that repeat the one before."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import StillnessConfig

# Grey levels, mean over the picture. A repeated frame after H.264 differs by less, a talking mouth by more.
REPEATED = 0.35


def still_share(luma: np.ndarray, repeated: float = REPEATED) -> float:
    """Share in [0, 1] of consecutive pairs of `(T, H, W)` luma frames in [0, 255] that are the same picture."""
    if len(luma) < 2:
        return 1.0
    return float((np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)) < repeated).mean())


def score(material: Material, config: StillnessConfig) -> Values:
    """Column `still_share`."""
    return {"still_share": still_share(material.luma, config.repeated)}


STILLNESS = Score("stillness", "2", floats("still_share"), ("frames",), score)
