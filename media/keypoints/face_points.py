"""What is read from the 68 points of a face in iBUG's order (300-W), as every detector of 133 keypoints gives them."""

import numpy as np

POINTS = 68
OUTER_CORNERS = (36, 45)  # of the eyes
EYES = (slice(36, 42), slice(42, 48))
INNER_LIPS = (62, 66)  # the middle of the upper and of the lower one
CHIN, BROWS = 8, slice(17, 27)


def lip_opening(face: np.ndarray, confident: float) -> np.ndarray:
    """Measure `(T,)` pixels between the inner lips of `(T, 68, 3)` points; NaN where either is not seen."""
    top, bottom = (face[:, point] for point in INNER_LIPS)
    seen = np.minimum(top[:, 2], bottom[:, 2]) > confident
    return np.where(seen, np.hypot(*(bottom - top)[:, :2].T), np.nan)


def face_height(face: np.ndarray, confident: float) -> np.ndarray:
    """Measure `(T,)` pixels from the middle of the brows to the chin; NaN where one of these points is not seen."""
    brows, chin = face[:, BROWS], face[:, CHIN]
    seen = np.minimum(brows[..., 2].min(axis=1), chin[:, 2]) > confident
    return np.where(seen, np.hypot(*(chin[:, :2] - brows[..., :2].mean(axis=1)).T), np.nan)


def eye_aspect_ratio(face: np.ndarray, confident: float) -> np.ndarray:
    """Measure `(T,)` how open the eyes are: the mean over both of (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|); NaN where an eye is not seen.

    Soukupova and Cech 2016, equation 1.
    """
    ratios = []
    for eye in EYES:
        points = face[:, eye]
        p1, p2, p3, p4, p5, p6 = np.moveaxis(points[..., :2], 1, 0)
        width = np.linalg.norm(p1 - p4, axis=1)
        height = np.linalg.norm(p2 - p6, axis=1) + np.linalg.norm(p3 - p5, axis=1)
        seen = (points[..., 2].min(axis=1) > confident) & (width > 0)
        ratios.append(np.where(seen, height / np.where(width > 0, 2 * width, 1.0), np.nan))
    return np.mean(ratios, axis=0)
