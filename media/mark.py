"""The visible marks on exported pictures that a model made: words in a corner, and an icon for the places that ask for one."""

import cv2
import numpy as np

TEXT = "AI-generated"
_ICON, _ICON_SHARE = "AI", 1 / 6
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


def with_icon(image: np.ndarray) -> np.ndarray:
    """Draw a badge "AI" into the upper left corner of `(H, W, 3)` uint8 RGB, about a sixth of the height; returns a copy."""
    side = max(8, round(_ICON_SHARE * min(image.shape[:2])))
    margin = max(1, round(_MARGIN * image.shape[0]))
    marked = image.copy()
    badge = marked[margin : margin + side, margin : margin + side]
    badge //= 4
    cv2.rectangle(badge, (0, 0), (badge.shape[1] - 1, badge.shape[0] - 1), (255, 255, 255), max(1, side // 20))
    (width, height), _ = cv2.getTextSize(_ICON, _FONT, 1.0, 1)
    scale = 0.6 * side / max(width, height)
    place = (round((side - scale * width) / 2), round((side + scale * height) / 2))
    cv2.putText(badge, _ICON, place, _FONT, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA)
    return marked
