"""A Fréchet distance of two sets of features that are there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.metrics import frechet_distance_of_features


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over the features `case`."""
    real, fake = (np.load(Path(folder) / "features" / f"{case}-{side}.npy") for side in ("real", "fake"))
    return lambda: {"distance": frechet_distance_of_features(real, fake)}
