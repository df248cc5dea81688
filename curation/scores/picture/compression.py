"""Compression: steps on the coder's grid, and how few bits a pixel got."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from media import Span
from profiles.scores import CompressionConfig


def blockiness(grey: np.ndarray, block: int = 8) -> float:
    """How much larger steps are on the coder's grid than beside it, median over `(T, H, W)` uint8 pictures.

    With b the mean absolute step across the grid's lines and i the mean over all other lines, (b - i) / (b + i), the
    larger of both directions and not below 0: 0 for no visible grid, towards 1 where flat blocks meet (after Wang,
    Bovik and Evans, ICIP 2000). A picture that was resized after coding has its grid elsewhere and scores 0.
    """
    return float(np.median([_of_picture(image.astype(np.int16), block) for image in grey]))


def _of_picture(image: np.ndarray, block: int) -> float:
    strongest = 0.0
    for axis in (0, 1):
        other = (1 - axis,)
        steps = np.abs(np.diff(image, axis=axis)).mean(axis=other)
        on_grid = (np.arange(len(steps)) + 1) % block == 0
        if not on_grid.any() or on_grid.all():
            continue
        across, beside = steps[on_grid].mean(), steps[~on_grid].mean()
        strongest = max(strongest, float((across - beside) / max(across + beside, 1e-6)))
    return strongest


def bits_per_pixel(size: int, width: int, height: int, frames: int) -> float:
    """Bits of the file (sound too) over the pixels of all its frames; NaN without a file."""
    return 8.0 * size / (width * height * frames) if size and frames else float("nan")


def score(material: Material, config: CompressionConfig) -> Values:
    """Columns `blockiness` and `bits_per_pixel`, both at the source's own size.

    What a part of a file takes of its bytes nobody knows without reading its packets: there `bits_per_pixel` is NaN.
    """
    record, data = material.record, material.data
    size = 0 if isinstance(data, Span) else len(data)
    return {
        "blockiness": blockiness(material.native_grey, config.block),
        "bits_per_pixel": bits_per_pixel(size, record["width"], record["height"], record["frames"]),
    }


COMPRESSION = Score("compression", "1", floats("blockiness", "bits_per_pixel"), ("native", "record", "data"), score)
