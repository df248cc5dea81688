"""Exponential moving average of the weights; under ZeRO-3 each rank averages its own part of them."""

from collections.abc import Iterator
from contextlib import contextmanager
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
        """The averaged weights, and the frozen ones as they are, whole and on the CPU of rank 0; the others, which must call this too, get
        none: a machine has room for one copy of a large model, not for one of each rank."""
        whole = {}
        for name, p in self.model.named_parameters():
            gathered = _gather(p, self.average[name] if name in self.average else _local(p).detach())
            if gathered is not None:
                whole[name] = gathered
        return whole

    @contextmanager
    def in_place(self, engine: Any) -> Iterator[None]:
        """Inside it the engine's module, of which this is the average, computes with the averaged weights; no second model is needed.

        Weights and average change places where both are float32; weights of another dtype wait on the CPU meanwhile.
        """
        waiting = self._exchange(engine, {})
        try:
            yield
        finally:
            self._exchange(engine, waiting)

    @torch.no_grad()
    def _exchange(self, engine: Any, waiting: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put averages where weights are, or those of `waiting` back; returns what then waits."""
        if engine.zero_optimization_stage() == 3:
            engine.optimizer.empty_partition_cache()  # what it keeps gathered would not see that its parts change
        left = {}
        for name, parameter in self.model.named_parameters():
            if name not in self.average:
                continue
            local, average = _local(parameter).detach(), self.average[name]
            if name in waiting:
                local.copy_(waiting[name])
            elif local.dtype == average.dtype:
                weights = local.clone()
                local.copy_(average)
                average.copy_(weights)
            else:
                left[name] = local.to("cpu", copy=True)  # `cpu()` of a tensor there is the tensor itself
                local.copy_(average)
        if engine.zero_optimization_stage() == 3:
            engine.optimizer.empty_partition_cache()
        return left

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


def _gather(parameter: Any, local: Tensor) -> Tensor | None:
    """On rank 0; None elsewhere, where nothing is received."""
    first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    if not _partitioned(parameter):
        return local.cpu() if first else None
    parts = [torch.empty_like(local) for _ in range(torch.distributed.get_world_size())] if first else None
    torch.distributed.gather(local.contiguous(), parts, dst=0)
    if parts is None:
        return None
    return torch.cat(parts)[: parameter.ds_numel].view(parameter.ds_shape).cpu()


def _part(parameter: Any, whole: Tensor) -> Tensor:
    if not _partitioned(parameter):
        return whole
    size = parameter.ds_tensor.numel()
    flat = torch.nn.functional.pad(whole.flatten(), (0, size * torch.distributed.get_world_size() - whole.numel()))
    return flat.narrow(0, size * torch.distributed.get_rank(), size)
