"""Resolution: how large the picture says it is, and how fine its detail is."""

import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import ResolutionConfig

ROUNDING = 12.0  # times the rounding's mean power: fewer than one in 100,000 of its own values lie above


def detail_bandwidth(grey: np.ndarray, energy: float = 0.99, window: int = 256) -> float:
    """The spatial frequency, as a share of Nyquist's, below which `energy` of the gradient's energy lies.

    An enlarged picture has nothing above its old Nyquist frequency: enlarged twice it reads about half of what it did.
    Noise reads as detail, and defocus as enlargement: beside `noise` and `sharpness` this is one witness of three.

    Args:
        grey: `(T, H, W)` uint8; the middle `window` pixels are read, through a Hann window.
        energy: see above.
        window: pixels.
    """
    height, width = (min(size, window) for size in grey.shape[1:])
    top, left = (grey.shape[1] - height) // 2, (grey.shape[2] - width) // 2
    taper = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(fy, fx) / 0.5
    # Rounding to whole grey levels is noise of variance 1/12 in every frequency; what does not stand above it is not there.
    floor = ROUNDING * np.square(taper).sum() / 12
    order = np.argsort(radius, axis=None)
    radii = []
    for image in grey[:, top : top + height, left : left + width].astype(np.float32):
        # Weighted by frequency, as a gradient is: otherwise brightness alone would decide.
        power = np.abs(np.fft.rfft2((image - image.mean()) * taper)) ** 2
        power = np.where(power > floor, power, 0.0) * radius**2
        total = np.cumsum(power.ravel()[order])
        if total[-1] > 0:
            radii.append(radius.ravel()[order][np.searchsorted(total, energy * total[-1])])
    return float(np.median(radii)) if radii else 0.0


def score(material: Material, config: ResolutionConfig) -> Values:
    """Columns `short_side` (pixels) and `detail_bandwidth`."""
    short = float(min(material.record["width"], material.record["height"]))
    return {
        "short_side": short,
        "detail_bandwidth": detail_bandwidth(material.native_grey, config.energy, config.window),
    }


RESOLUTION = Score("resolution", "1", floats("short_side", "detail_bandwidth"), ("native", "record"), score)
