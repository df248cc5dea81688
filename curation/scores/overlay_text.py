"""Overlay text without a text network: many strong strokes side by side that never move."""

import numpy as np

VERSION = "static-strokes-1"
STATIC = 6.0  # grey levels, temporal standard deviation: burnt-in pixels stay, people and sound-driven mouths do not
STROKE = 60.0  # grey levels from one pixel to its neighbour two to the right
BAND = 5 / 64  # height of a line of text over the picture's
FULL = 16.0  # alternations per row at which the score is 0.5


def overlay_text(luma: np.ndarray) -> float:
    """Density of static strokes in the densest band of rows, in [0, 1]; a line of subtitles gives more than 0.5.

    A row of letters alternates between bright and dark many times from left to right; outlines of people, stripes and
    furniture alternate a few times. The score is n / (n + 16) for n alternations per row in the densest band. It reads
    no letters: a static fence or keyboard in the background scores too.

    Args:
        luma: `(T, H, W)` float in [0, 255].
    """
    static = luma.std(axis=0) < STATIC
    picture = np.median(luma, axis=0)
    step = picture[:, 2:] - picture[:, :-2]
    step = np.where(static[:, 2:] & static[:, :-2] & (np.abs(step) > STROKE), np.sign(step), 0.0)
    counts = np.array([_alternations(row) for row in step])
    band = max(2, round(BAND * len(counts)))
    density = np.convolve(counts, np.ones(band) / band, mode="valid").max(initial=0.0)
    return float(density / (density + FULL))


def _alternations(row: np.ndarray) -> int:
    signs = row[row != 0]
    return int((np.diff(signs) != 0).sum()) if len(signs) else 0
