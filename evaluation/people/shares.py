"""The interval of a share."""

import numpy as np

Z = 1.96  # standard deviations of a 95 % interval


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); NaN without a trial."""
    if not trials:
        return float("nan"), float("nan")
    share, z = hits / trials, Z**2 / trials
    middle, half = share + z / 2, Z * np.sqrt(share * (1 - share) / trials + z / (4 * trials))
    return float(max(0.0, (middle - half) / (1 + z))), float(min(1.0, (middle + half) / (1 + z)))
