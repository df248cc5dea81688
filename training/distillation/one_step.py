"""The one-step map: x = z - v(z, c, T), always at the final timestep (APT section 4.2; exact for v = eps - x_0 at t = 1)."""

from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import Ratios
from training.data import Batch


def one_step(model: nn.Module, noise: Tensor, conditions: dict[str, Any]) -> Tensor:
    """Clean latents from `(B, 16, F, h, w)` noise in one evaluation at t = 1000."""
    final = torch.full((noise.shape[0],), 1000.0, device=noise.device, dtype=noise.dtype)
    return noise - model(noise, final, return_dict=False, **conditions)[0]


def conditions_of(batch: Batch, ratios: Ratios) -> dict[str, Tensor]:
    """Keyword arguments for the transformer: every condition that the run uses, masked where a sample goes without.

    Which ones depends on the ratios and not on the batch: ranks that ran different layers would reduce different
    gradients together.
    """
    given: dict[str, Tensor] = {"encoder_hidden_states": batch.text}
    for name in ("audio", "pose", "reference"):
        if getattr(ratios, name) > 0:
            given |= {name: getattr(batch, name), f"{name}_mask": getattr(batch, f"{name}_mask")}
    return given
