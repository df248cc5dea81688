"""The visible mark on exported pictures that a model made."""

import cv2
import numpy as np

TEXT = "AI-generated"
_FONT, _MARGIN, _HEIGHT_SHARE, _WIDTH_SHARE = cv2.FONT_HERSHEY_SIMPLEX, 0.02, 0.045, 0.6


def mark_frames(frames: np.ndarray) -> np.ndarray:
    """Write "AI-generated" into the lower left corner of `(T, H, W, 3)` uint8 RGB; returns a copy.

    White letters on a darkened strip, so that they can be read on any picture; about a twentieth of the height, and never wider
    than most of the picture.
    """
    height, width = frames.shape[1:3]
    (text_width, text_height), baseline = cv2.getTextSize(TEXT, _FONT, 1.0, 1)
    scale = min(_HEIGHT_SHARE * height / text_height, _WIDTH_SHARE * width / text_width)
    thickness = max(1, round(scale * 1.5))
    across, up, below = (round(v * scale) for v in (text_width, text_height, baseline))
    margin = max(1, round(_MARGIN * height))
    top, right = height - up - below - 2 * margin, min(width, across + 3 * margin)
    marked = frames.copy()
    strip = marked[:, top:, :right]
    marked[:, top:, :right] = strip // 3
    for image in marked:
        cv2.putText(
            image, TEXT, (margin, height - below - margin), _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA
        )
    return marked
