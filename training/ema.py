"""Exponential moving average of the weights, also where ZeRO-3 keeps them in parts."""

from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class ExponentialMovingAverage:
    """float32 average with a warm-up: the decay is min(decay, (1 + n) / (10 + n)) after n updates."""

    def __init__(self, model: nn.Module, decay: float, gather: bool = False):
        self.decay, self.gather, self.updates = decay, gather, 0
        self.average: dict[str, Tensor] = {}
        with self._whole(model):
            for name, parameter in model.named_parameters():
                self.average[name] = parameter.detach().float().clone()

    def _whole(self, model: nn.Module):
        if not self.gather:
            return nullcontext()
        import deepspeed

        return deepspeed.zero.GatheredParameters(list(model.parameters()))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with self._whole(model):
            names, parameters = zip(*model.named_parameters(), strict=True)
            averages = [self.average[name] for name in names]
            torch._foreach_lerp_(averages, [p.detach().float() for p in parameters], 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's weights with the average."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.average[name])

    def load(self, path: Path, updates: int) -> None:
        """Restore what `average` held, from a safetensors file."""
        stored = load_file(path)
        if set(stored) != set(self.average):
            different = sorted(set(stored) ^ set(self.average))[:5]
            raise ValueError(f"{path} holds the average of another model; keys that differ: {different}")
        self.average, self.updates = stored, updates
