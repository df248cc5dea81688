"""Do people ask for other things than the champion was trained on: inputs that were served, held against clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.core.workspace import Workspace
from assets.retraining.column_drift import ColumnDrift, measure_drift, population_stability_index
from tracking.served_log import FILE, served_features

INPUTS = 10_000  # the latest ones

# Names of columns to their values of the champion's clips, and of all that are usable today.
Values = Callable[[Sequence[str]], tuple[pd.DataFrame, pd.DataFrame]]


@dataclass(frozen=True)
class ServedDrift:
    """One column of what was served against the champion's snapshot; `psi_today` is the same against today's usable clips."""

    column: ColumnDrift
    inputs: int
    psi_today: float

    @property
    def nearer(self) -> bool:
        """Whether training on today's clips would bring the champion nearer to what is asked of it."""
        return self.psi_today < self.column.psi


def measure_served_drift(workspace: Workspace, columns: Sequence[str], values: Values) -> tuple[ServedDrift, ...]:
    """Compare every column that both have; none where too few inputs were served to tell.

    Args:
        workspace: its `var/served.db`, and the bounds of its profile.
        columns: of the score tables.
        values: reads them.

    Raises:
        tracking.served_log.ServedLogError: the log cannot be read.
    """
    config, served = workspace.profile.refresh, served_features(workspace.var / FILE, INPUTS)
    shared = [name for name in columns if name in served and _known(served[name]) >= config.min_clips]
    if not shared:
        return ()
    before, today = values(shared)
    if len(before) < config.min_clips or len(today) < config.min_clips:
        return ()
    found = []
    for name in shared:
        asked, clips, now = served[name], before[name].to_numpy(float), today[name].to_numpy(float)
        asked = asked[np.isfinite(asked)]  # a request without sound is no drift of sounds
        drift = measure_drift(name, clips, asked, config, len(shared))
        found.append(ServedDrift(drift, len(asked), population_stability_index(now, asked)[0]))
    return tuple(found)


def _known(values: np.ndarray) -> int:
    return int(np.isfinite(values).sum())
