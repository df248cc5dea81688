"""Motion: how far pixels travel between frames."""

import cv2
import numpy as np

VERSION = "farneback-2"
STRIDE = 2  # every second pair of neighbours is measured: flow is half the cost of scoring, and the mean hardly moves
BORDER = 6  # pixels left out at each edge, where Farneback reports motion even between equal pictures


def motion(luma: np.ndarray) -> float:
    """Mean magnitude of dense optical flow in pixels per frame (Farneback, SCIA 2003; OpenCV), 6 pixels off the edge.

    Args:
        luma: `(T, H, W)` float in [0, 255] at the bucket's size and rate. One frame alone has motion 0.
    """
    grey = np.clip(luma, 0, 255).astype(np.uint8)
    if len(grey) < 2:
        return 0.0
    buffer = np.zeros((*grey.shape[1:], 2), np.float32)
    flows = [
        cv2.calcOpticalFlowFarneback(before, after, buffer.copy(), 0.5, 3, 11, 2, 5, 1.1, 0)
        for before, after in zip(grey[:-1:STRIDE], grey[1::STRIDE], strict=True)
    ]
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return float(np.mean([np.hypot(flow[..., 0], flow[..., 1])[inside].mean() for flow in flows]))
