"""Letterbox: dark bars around the picture that never change."""

from dataclasses import dataclass

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import LetterboxConfig

MOSTLY = 98.0  # percent of a bar's row that must be dark: coding leaves a few brighter pixels


@dataclass(frozen=True)
class Bars:
    """Rows and columns of darkness at each edge, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def bars(grey: np.ndarray, dark: float = 24.0) -> Bars:
    """The dark bars of `(T, H, W)` uint8 pictures of one clip; none where the whole picture is dark.

    The brightest value that a pixel takes in any of the pictures counts, so a dark scene beside a bright one is no bar.
    """
    brightest = grey.max(axis=0)
    dark_rows = np.percentile(brightest, MOSTLY, axis=1) <= dark
    if dark_rows.all():
        return Bars(0, 0, 0, 0)
    top, bottom = _edge(dark_rows), _edge(dark_rows[::-1])
    dark_columns = np.percentile(brightest[top : len(brightest) - bottom], MOSTLY, axis=0) <= dark
    if dark_columns.all():
        return Bars(0, 0, 0, 0)
    return Bars(top, bottom, _edge(dark_columns), _edge(dark_columns[::-1]))


def _edge(dark: np.ndarray) -> int:
    return int(np.argmin(dark))


def bar_share(edges: Bars, height: int, width: int) -> float:
    """Share in [0, 1] of the picture's area that the bars cover."""
    return 1.0 - (height - edges.top - edges.bottom) * (width - edges.left - edges.right) / (height * width)


def score(material: Material, config: LetterboxConfig) -> Values:
    """Column `letterbox_share`."""
    pictures = material.native_grey
    return {"letterbox_share": bar_share(bars(pictures, config.dark), *pictures.shape[1:])}


LETTERBOX = Score("letterbox", "1", floats("letterbox_share"), ("native",), score)
