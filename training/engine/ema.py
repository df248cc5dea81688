"""Exponential moving average of the weights; under ZeRO-3 each rank averages its own part of them."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from media.weights import WrongWeights, compare
from training.errors import TrainingError


class ExponentialMovingAverage:
    """float32 average with a warm-up: the decay is min(decay, (1 + n) / (10 + n)) after n updates.

    Only trainable weights are averaged. Built after the engine: ZeRO-3 cuts parameters then, and the average is cut alike,
    so it costs 4 bytes per parameter over all ranks and no communication per step.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.model = model
        self.average = {n: _local(p).detach().float().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        local = {name: _local(p).detach().float() for name, p in self.model.named_parameters()}
        torch._foreach_lerp_(list(self.average.values()), [local[name] for name in self.average], 1 - decay)

    @torch.no_grad()
    def whole(self) -> dict[str, Tensor]:
        """The averaged weights, and the frozen ones as they are, whole and on the CPU. Every rank must call this."""
        return {
            name: _gather(p, self.average[name] if name in self.average else _local(p).detach())
            for name, p in self.model.named_parameters()
        }

    def load(self, path: Path, updates: int) -> None:
        """Restore the average from a safetensors file of whole weights, written with any number of ranks.

        Raises:
            TrainingError: the file holds the average of another model.
        """
        remedy = "start the training again: its model is another one"
        stored = load_file(path)
        parameters = dict(self.model.named_parameters())
        try:
            compare(stored, {name: getattr(p, "ds_shape", p.shape) for name, p in parameters.items()}, path, remedy)
        except WrongWeights as error:
            raise TrainingError(str(error)) from error
        for name, average in self.average.items():
            average.copy_(_part(parameters[name], stored[name]))
        self.updates = updates


def _partitioned(parameter: Any) -> bool:
    return hasattr(parameter, "ds_tensor")


def _local(parameter: Any) -> Tensor:
    """The part of a parameter that this rank owns: all of it, or ZeRO-3's flat slice."""
    return parameter.ds_tensor if _partitioned(parameter) else parameter


def _gather(parameter: Any, local: Tensor) -> Tensor:
    if not _partitioned(parameter):
        return local.cpu()
    parts = [torch.empty_like(local) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, local.contiguous())
    return torch.cat(parts)[: parameter.ds_numel].view(parameter.ds_shape).cpu()


def _part(parameter: Any, whole: Tensor) -> Tensor:
    if not _partitioned(parameter):
        return whole
    size = parameter.ds_tensor.numel()
    flat = torch.nn.functional.pad(whole.flatten(), (0, size * torch.distributed.get_world_size() - whole.numel()))
    return flat.narrow(0, size * torch.distributed.get_rank(), size)
