"""torchmetrics' `FrechetInceptionDistance` behind a network that hands features through, so that the distance alone is measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchmetrics.image.fid import FrechetInceptionDistance


class Features(torch.nn.Module):
    """What is given is the features."""

    def __init__(self, dimensions: int):
        super().__init__()
        self.num_features = dimensions

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(N, D)`, as it is."""
        return features


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over the features `case`."""
    torch.set_num_threads(1)
    files = (np.load(Path(folder) / "features" / f"{case}-{side}.npy") for side in ("real", "fake"))
    real, fake = map(torch.from_numpy, files)

    def turn() -> dict[str, Any]:
        metric = FrechetInceptionDistance(feature=Features(real.shape[1]))
        metric.update(real, real=True)
        metric.update(fake, real=False)
        return {"distance": float(metric.compute())}

    return turn
