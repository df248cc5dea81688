"""A network that judges, on a device of its own: it is given tensors on the processor and answers there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

CPU = torch.device("cpu")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have torch compute on so many threads of the processor, in this thread and in those that have not asked yet: whoever computes in a thread
    of its own asks at its beginning (`torch.get_num_threads`), or begins with this number."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Have torch compute on one thread of the processor: sums are split over as many as there are, and round otherwise, so a score would
    depend on how many cores measure it, or how many processes share them."""
    return threads(1)


class OnDevice:
    """Calls go to the network's device and back. Convolutions are exact: on a GPU cuDNN would round them to TF32's eleven digits, and scores
    would depend on where they are measured. On a processor they are computed on one thread, for the same reason."""

    def __init__(self, network: nn.Module, device: torch.device):
        """Bring the network there."""
        self.network, self._device = network.to(device), device

    def __call__(self, given: Tensor, **named: Any) -> Tensor:
        """The network's forward pass."""
        return self.through(self.network, given, **named)

    def through(self, part: Any, given: Tensor, **named: Any) -> Tensor:
        """One of its methods."""
        exact = torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        )
        with exact, one_thread():
            return part(given.to(self._device), **named).cpu()
