"""Classifier-free guidance on text and audio together, annealed over the sampling steps (OmniHuman-1 section 3.4)."""

import torch
from torch import Tensor


def annealed_scale(step: int, steps: int, start: float, end: float) -> float:
    """Linear from `start` at the first step to `end` at the last: a high scale late in sampling wrinkles faces."""
    return start if steps == 1 else start + (end - start) * step / (steps - 1)


def guided_velocity(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """v_uncond + scale * (v_cond - v_uncond), any shape."""
    return torch.lerp(unconditional, conditional, scale)
