"""Hard cuts: one change that stands far above the changes around it."""

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import CutsConfig

NEIGHBOURS = 3  # frames on either side that say what change is usual here
FLOOR = 3.0  # grey levels (mean over pixels and channels): changes well below this are never a cut


def cut_score(frames: np.ndarray, neighbours: int = NEIGHBOURS, floor: float = FLOOR) -> float:
    """How much the clip looks cut, in [0, 1]: the largest of `cut_curve`; 0 for fewer than two frames."""
    return float(cut_curve(frames, neighbours, floor).max(initial=0.0))


def cut_curve(frames: np.ndarray, neighbours: int = NEIGHBOURS, floor: float = FLOOR) -> np.ndarray:
    """`(T - 1,)` in [0, 1] for `(T, H, W, 3)` uint8: entry t - 1 speaks of a cut between frames t - 1 and t.

    With d the mean absolute difference of consecutive frames and m its largest neighbour, (d - m) / (d + m) is 0 in
    steady motion, however fast, and near 1 where one difference stands alone; d / (d + floor) keeps small ones small.
    """
    pairs = zip(frames[:-1], frames[1:], strict=True)
    difference = np.array([cv2.norm(before, after, cv2.NORM_L1) / before.size for before, after in pairs])
    usual = np.array([_largest_neighbour(difference, t, neighbours) for t in range(len(difference))])
    contrast = (difference - usual) / np.maximum(difference + usual, 1e-6)
    return np.clip(contrast, 0.0, 1.0) * difference / (difference + floor)


def _largest_neighbour(values: np.ndarray, t: int, neighbours: int) -> float:
    around = np.concatenate([values[max(0, t - neighbours) : t], values[t + 1 : t + 1 + neighbours]])
    return float(around.max(initial=0.0))


def score(material: Material, config: CutsConfig) -> Values:
    """Column `cut_score`."""
    return {"cut_score": cut_score(material.working, config.neighbours, config.floor)}


CUTS = Score("cuts", "2", floats("cut_score"), ("frames",), score)
