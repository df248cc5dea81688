"""What a picture of somebody goes through before a page shows it."""

from collections.abc import Callable

import numpy as np

Hide = Callable[[np.ndarray], np.ndarray]  # `(H, W, 3)` uint8 to the same, without faces


def as_it_is(picture: np.ndarray) -> np.ndarray:
    """Show everything."""
    return picture
