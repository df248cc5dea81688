"""Hard cuts: one change that stands far above the changes around it."""

import numpy as np

VERSION = "1"
NEIGHBOURS = 3  # frames on either side that say what change is usual here
FLOOR = 3.0  # grey levels (mean over pixels and channels): changes well below this are never a cut


def cut_score(frames: np.ndarray) -> float:
    """How much the clip looks cut, in [0, 1]: the largest of `cut_curve`; 0 for fewer than two frames."""
    return float(cut_curve(frames).max(initial=0.0))


def cut_curve(frames: np.ndarray) -> np.ndarray:
    """`(T - 1,)` in [0, 1] for `(T, H, W, 3)` uint8: entry t - 1 speaks of a cut between frames t - 1 and t.

    With d the mean absolute difference of consecutive frames and m its largest neighbour, (d - m) / (d + m) is 0 in
    steady motion, however fast, and near 1 where one difference stands alone; d / (d + floor) keeps small ones small.
    """
    difference = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    usual = np.array([_largest_neighbour(difference, t) for t in range(len(difference))])
    contrast = (difference - usual) / np.maximum(difference + usual, 1e-6)
    return np.clip(contrast, 0.0, 1.0) * difference / (difference + FLOOR)


def _largest_neighbour(values: np.ndarray, t: int) -> float:
    around = np.concatenate([values[max(0, t - NEIGHBOURS) : t], values[t + 1 : t + 1 + NEIGHBOURS]])
    return float(around.max(initial=0.0))
