"""Networks saved in the dtype that they came in: read as float32 they hold the same values in twice the bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from omnihuman.bases.model import OmniHumanModel
from omnihuman.precision import cast_weights, stays_float32

NARROW = (torch.bfloat16, torch.float16)


def own_dtype(network: nn.Module) -> torch.dtype:
    """The first of `NARROW` that holds every weight of a network in float32 exactly, those aside that its base keeps in float32; else its own."""
    own = next(network.parameters()).dtype
    weights = [parameter for name, parameter in network.named_parameters() if not _kept(name, network)]
    if any(weight.dtype != torch.float32 for weight in weights):
        return own
    return next((dtype for dtype in NARROW if all(_holds(dtype, weight) for weight in weights)), own)


@contextmanager
def in_own_dtypes(pipeline: Any) -> Iterator[None]:
    """Have each network of a pipeline in its `own_dtype`, while it is saved; afterwards all are as before, bit for bit."""
    networks = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    before = [(p, p.dtype) for network in networks for p in network.parameters()]
    try:
        for network in networks:
            _cast(network, own_dtype(network))
        yield
    finally:
        for parameter, dtype in before:
            parameter.data = parameter.data.to(dtype)


def _cast(network: nn.Module, dtype: torch.dtype) -> None:
    """As `cast_weights`; of what is no base's all, for its files have all in one dtype."""
    if isinstance(network, OmniHumanModel):
        cast_weights(network, dtype)
        return
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)


def _kept(name: str, network: nn.Module) -> bool:
    return isinstance(network, OmniHumanModel) and stays_float32(name, network)


def _holds(dtype: torch.dtype, weight: torch.Tensor) -> bool:
    return torch.equal(weight.to(dtype).to(weight.dtype), weight)
