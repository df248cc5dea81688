"""Put the mark into pictures."""

import cv2
import numpy as np

from provenance.watermark.pattern import pattern
from provenance.watermark.payload import Payload


def mark(frames: np.ndarray, payload: Payload) -> np.ndarray:
    """Add the mark to `(T, H, W, 3)` uint8 RGB; returns a copy. The same levels in red, green and blue: luminance alone."""
    added, taken = pattern(payload, *frames.shape[1:3])
    made = np.empty_like(frames)
    for image, out in zip(frames, made, strict=True):
        cv2.subtract(cv2.add(image, added), taken, dst=out)
    return made
