"""Motion: how far pixels travel between frames."""

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import MotionConfig

# Every second pair of neighbours at most is measured: flow is half the cost of scoring, and the mean hardly moves.
STRIDE = 2


def motion(luma: np.ndarray, pairs: int = 8, border: int = 6) -> float:
    """Mean magnitude of dense optical flow in pixels per frame (Farneback, SCIA 2003; OpenCV), off the picture's edge.

    Args:
        luma: `(T, H, W)` float in [0, 255]. One frame alone has motion 0.
        pairs: how many pairs of neighbouring frames are measured at most, evenly spaced.
        border: pixels left out at each edge, where Farneback reports motion even between equal pictures.
    """
    if len(luma) < 2:
        return 0.0
    buffer = np.zeros((*luma.shape[1:], 2), np.float32)
    inside = (slice(border, -border or None), slice(border, -border or None))
    speeds = []
    for t in measured_pairs(len(luma), pairs):
        before, after = (np.clip(image, 0, 255).astype(np.uint8) for image in luma[t : t + 2])
        flow = cv2.calcOpticalFlowFarneback(before, after, buffer.copy(), 0.5, 3, 11, 2, 5, 1.1, 0)
        speeds.append(cv2.magnitude(flow[..., 0], flow[..., 1])[inside].mean())
    return float(np.mean(speeds))


def measured_pairs(frames: int, pairs: int) -> np.ndarray:
    """First frames of the pairs that are measured."""
    starts = np.arange(0, frames - 1, STRIDE)
    return starts[np.linspace(0, len(starts) - 1, min(pairs, len(starts))).round().astype(int)]


def score(material: Material, config: MotionConfig) -> Values:
    """Column `motion`, in pixels of the bucket per frame."""
    return {"motion": motion(material.luma, config.pairs, config.border) * material.working_scale}


MOTION = Score("motion", "farneback-3", floats("motion"), ("frames",), score)
