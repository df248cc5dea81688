"""The one-step map: x = z - v(z, c, T), always at the final timestep (APT section 4.2; exact for v = eps - x_0 at t = 1)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs


def one_step(model: Callable[..., Any], noise: Tensor, conditions: ConditionInputs) -> Tensor:
    """Clean latents from `(B, 16, F, h, w)` noise in one evaluation at t = 1000."""
    final = torch.full((noise.shape[0],), 1000.0, device=noise.device)
    return noise - model(noise, final, return_dict=False, **conditions)[0]
