"""Overlay text without a text network: many strong strokes side by side that never move. It reads no letters."""

import cv2
import numpy as np

from curation.scores.clip_media import Material, evenly
from curation.scores.contract import Score, Values, floats
from curation.scores.picture.luma import grey
from profiles.scores import StrokesConfig

STATIC = 6.0  # grey levels, temporal standard deviation: burnt-in pixels stay, people and sound-driven mouths do not
STROKE = 60.0  # grey levels from one pixel to its neighbour two to the right
BAND = 5 / 64  # height of a line of text over the picture's
FULL = 16.0  # alternations per row at which the score is 0.5


def static_strokes(
    luma: np.ndarray, static: float = STATIC, stroke: float = STROKE, band: float = BAND, full: float = FULL
) -> float:
    """Density of static strokes in the densest band of rows, in [0, 1]; a line of subtitles gives more than 0.5.

    A row of letters alternates between bright and dark many times from left to right; outlines of people, stripes and
    furniture alternate a few times. The score is n / (n + 16) for n alternations per row in the densest band. It reads
    no letters: a static fence or keyboard in the background scores too.

    Args:
        luma: `(T, H, W)` in [0, 255], float or uint8.
        static: see `STATIC`.
        stroke: see `STROKE`.
        band: see `BAND`.
        full: see `FULL`.
    """
    picture, deviation = _mean_and_deviation(luma)
    step = picture[:, 2:] - picture[:, :-2]
    strong = np.abs(step) > stroke
    still = deviation < static
    step = np.where(still[:, 2:] & still[:, :-2] & strong, np.sign(step), 0.0)
    counts = np.array([_alternations(row) for row in step])
    rows = max(2, round(band * len(counts)))
    density = np.convolve(counts, np.ones(rows) / rows, mode="valid").max(initial=0.0)
    return float(density / (density + full))


def _mean_and_deviation(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over time, each `(H, W)` float32; OpenCV's running sums take a tenth of numpy's time at full size."""
    total, squares = np.zeros(luma.shape[1:], np.float32), np.zeros(luma.shape[1:], np.float32)
    for image in luma:
        cv2.accumulate(image, total)
        cv2.accumulateSquare(image, squares)
    mean = total / len(luma)
    return mean, np.sqrt(np.maximum(squares / len(luma) - mean**2, 0.0))


def _alternations(row: np.ndarray) -> int:
    signs = row[row != 0]
    return int((np.diff(signs) != 0).sum()) if len(signs) else 0


def score(material: Material, config: StrokesConfig) -> Values:
    """Column `overlay_text_strokes`, at the bucket's size: letters would not outlive the smaller working pictures."""
    chosen = grey(material.frames[evenly(len(material.frames), config.frames)])
    value = static_strokes(chosen, config.static, config.stroke, config.band, config.full)
    return {"overlay_text_strokes": value}


STROKES = Score("strokes", "static-strokes-2", floats("overlay_text_strokes"), ("frames",), score)
