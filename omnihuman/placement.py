"""Where a network's inputs go."""

import torch
from diffusers.utils.torch_utils import get_module_execution_device
from torch import nn


def execution_device(module: nn.Module) -> torch.device:
    """The device of its weights; where they are offloaded, the one that they are brought to for a forward pass.

    diffusers' `get_module_execution_device` answers the same and looks for hooks in every submodule. That is asked only where weights
    can be offloaded: they are on `meta`, or on the processor of a machine with an accelerator.
    """
    device = next(module.parameters()).device
    offloaded = device.type == "meta" or (device.type == "cpu" and torch.accelerator.is_available())
    return get_module_execution_device(module) if offloaded else device


def computes_in_bfloat16() -> bool:
    """Tell whether an accelerator or this processor computes in bfloat16, where other processors imitate it twenty times slower."""
    return torch.accelerator.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
