"""In which dtype each part of a network computes: docs/reference/precision.md has the table.

A training in bfloat16 keeps its weights in float32 and lets torch's autocast round what goes into matrix products. What Wan computes in
float32 is then computed in float32 (times, their embedding, modulation, norms, the read-out), and what needs all of float32, such as the
discriminator's penalty, can have it with the same weights. A network that only answers holds its weights in bfloat16, but for those that
Wan keeps in float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.normalization import RMSNorm as DiffusersRMSNorm
from torch import Tensor, nn
from torch.nn import functional as F


class OwnDtypeLinear(nn.Linear):
    """Computes in its weight's dtype, whatever autocast says, so with weights in float32 in float32."""

    def forward(self, input: Tensor) -> Tensor:
        """`(..., in)` to `(..., out)` in the weight's dtype."""
        with without_autocast(input.device):
            return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


class GivenDtypeRMSNorm(nn.RMSNorm):
    """Answers in the dtype of what it is given, with its gains rounded to it: queries and keys of autocast stay in bfloat16, which flash
    attention asks for. Inside, torch computes in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype in and out, normalised over the last axis."""
        gains = None if self.weight is None else self.weight.to(x.dtype)
        return F.rms_norm(x, list(self.normalized_shape), gains, self.eps)


class GivenDtypeDiffusersRMSNorm(DiffusersRMSNorm):
    """The same of diffusers' own norm, which the joint attention of MMDiTs has."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Same shape and dtype in and out, normalised over the last axis."""
        return super().forward(hidden_states).to(hidden_states.dtype)


def compute_by_dtype(model: nn.Module, exact: tuple[str, ...]) -> None:
    """Swap in place what autocast would treat otherwise: matrices below the modules named `exact`, and norms. Parameters and their names stay."""
    for name, module in model.named_modules():
        if type(module) is nn.Linear and any(name == one or name.startswith(f"{one}.") for one in exact):
            module.__class__ = OwnDtypeLinear
        elif type(module) is nn.RMSNorm:
            module.__class__ = GivenDtypeRMSNorm
        elif type(module) is DiffusersRMSNorm:
            module.__class__ = GivenDtypeDiffusersRMSNorm


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """Compute as the tensors' own dtypes say."""
    with torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """How exactly an accelerator multiplies matrices in float32: torch's "highest", or "high", which rounds to TF32's eleven digits.

    Of a processor it changes nothing.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def weight_dtype(module: nn.Module) -> torch.dtype:
    """Dtype of a module's first weight.

    `module.weight` would do in one process; under ZeRO-3 such an access from outside the module gathers the weight and makes it the asker's own, in
    some passes and not in others, and then the order in which weights are fetched is no longer the one that was recorded.
    """
    return next(module.parameters()).dtype


def edge_dtype(module: nn.Module) -> torch.dtype:
    """What a network rounds its inputs to at this module: the dtype of its weight, or that of autocast where it is on."""
    weight = next(module.parameters())
    kind = weight.device.type
    if kind == "meta":  # it waits on the host until its module is called
        return weight.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def stays_float32(name: str, model: Any) -> bool:
    """Whether a parameter of this name is one of those that a model or class keeps in float32, when its others are in bfloat16."""
    return bool(set(name.split(".")) & set(getattr(model, "_keep_in_fp32_modules", None) or ()))


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Parameters in `dtype`, for a network that only answers; those that its base keeps in float32 are float32.

    `model.to(dtype)` would round them too, and the rotary tables.
    """
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if stays_float32(name, model) else dtype)
