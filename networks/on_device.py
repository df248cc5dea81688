"""A network that judges, on a device of its own: it is given tensors on the processor and answers there."""

from typing import Any

import torch
from torch import Tensor, nn

CPU = torch.device("cpu")


class OnDevice:
    """Calls go to the network's device and back. Convolutions are exact: on a GPU cuDNN would round them to TF32's eleven digits, and scores
    would depend on where they are measured."""

    def __init__(self, network: nn.Module, device: torch.device):
        """Bring the network there."""
        self.network, self._device = network.to(device), device

    def __call__(self, given: Tensor, **named: Any) -> Tensor:
        """The network's forward pass."""
        return self.through(self.network, given, **named)

    def through(self, part: Any, given: Tensor, **named: Any) -> Tensor:
        """One of its methods."""
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        ):
            return part(given.to(self._device), **named).cpu()
