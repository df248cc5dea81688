"""Weights in 8 bits while a model answers: int8, or fp8 (e4m3), with a float32 scale for each row of a matrix, by torchao.

Weights alone are rounded: a product is computed in the dtype that the model computes in, with the matrix brought back to it. Nothing is trained
or saved so; what is registered holds whole weights (docs/decisions/0074-weights-in-eight-bits.md).
"""

import importlib.util
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from media.user_error import UserError
from omnihuman.errors import InputError

INT8, FP8 = "int8", "fp8"
MODES = (INT8, FP8)
KEY = "evaluation.quantise"
REMEDY = "pip install -c constraints.txt -e '.[quantise]'"
# The matrices of a block's attentions and feed-forward. Everything else stays: norms, modulation, embedders of times, text, sound and pose, patch
# embeddings, the read-out.
_MATRICES = (
    ("to_q", "to_k", "to_v", "to_out", "to_out.0")  # attention, of the video and of the sound
    + ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")  # text's part of a joint attention
    + ("net.0.proj", "net.2", "proj_mlp", "proj_out")  # feed-forward; the last two of HunyuanVideo's single blocks
)
MATRIX = rf"((single_)?transformer_)?blocks\.\d+\.(\w+\.)?({'|'.join(map(re.escape, _MATRICES))})"
_ROW_BYTES = {INT8: 5, FP8: 4}  # the scale; torchao keeps a zero point beside that of int8, which is 0
_NOISY = ("torchao", "torch.utils._pytree")


class CannotQuantise(UserError):
    """Weights in 8 bits are asked for and cannot be had here; the message says what is lacking."""

    exit_code = 2


def check_quantised(mode: str, device: torch.device, setting: str = KEY) -> None:
    """Nothing, if weights can be held as `mode` on `device`.

    Args:
        mode: of `MODES`.
        device: where they are to be.
        setting: what says the mode, for the message.

    Raises:
        InputError: no such mode.
        CannotQuantise: torchao is not installed, or the device has no numbers of fp8.
    """
    if mode not in MODES:
        raise InputError(f"{setting} is {mode!r}; choose one of {', '.join(MODES)}, or leave it out for whole weights")
    if importlib.util.find_spec("torchao") is None:
        raise CannotQuantise(f"{setting} is {mode}, and torchao is not installed; run `{REMEDY}`")
    if mode == FP8 and not _has_fp8(device):
        raise CannotQuantise(f"{setting} is {FP8}, and {device} has no such numbers; set it to {INT8}")


def quantise(model: nn.Module, mode: str, device: torch.device | None = None) -> None:
    """Round a transformer's matrices to 8 bits in place, one by one, so that no more than one lies there twice.

    Args:
        model: an `OmniHumanModel` in the dtype that it is to compute in, without LoRAs: they are attached afterwards.
        mode: of `MODES`.
        device: to which each matrix is brought before; the others stay where they are. Default where the model is.

    Raises:
        InputError, CannotQuantise: as `check_quantised`, or it is quantised already or has LoRAs, whose matrices would stay whole unsaid.
    """
    check_quantised(mode, device or next(model.parameters()).device, "the mode")
    if held := quantised_as(model):
        raise InputError(f"the model's weights are in {held} already; load it anew to have them in {mode}")
    if getattr(model, "peft_config", None):
        raise InputError("LoRAs are attached to the model: unload them, round its weights, and load them again")
    kind = _torchao(mode)
    with _quietly():
        from torchao.quantization import quantize_

        quantize_(model.requires_grad_(False), kind, filter_fn=_is_matrix, device=device)
    mend_zero_rows(model)


def mend_zero_rows(model: nn.Module) -> None:
    """Make zeros of the rows of fp8 that were nothing but zeros, as those of new parts before their training.

    torchao 0.18 divides such a row by its largest number and keeps NaN (findings/torchao_float8_rows_of_zeros.sh); int8 has a least scale.
    """
    weights: list[Any] = [weight for weight in model.parameters() if hasattr(weight, "qdata")]
    for weight in weights:
        empty = weight.scale == 0
        if weight.qdata.dtype == torch.float8_e4m3fn and bool(empty.any()):
            weight.qdata.copy_(torch.where(empty, 0.0, weight.qdata.float()).to(weight.qdata.dtype))
            weight.scale.masked_fill_(empty, 1.0)


def quantisation_config(mode: str) -> Any:
    """The same choice as diffusers' `TorchAoConfig`, for `from_pretrained(quantization_config=...)`, which rounds while it reads.

    Raises:
        InputError, CannotQuantise: as `check_quantised`.
    """
    check_quantised(mode, torch.device("cpu"), "the mode")
    kind = _torchao(mode)
    from diffusers.quantizers.quantization_config import TorchAoConfig
    from torchao.quantization import FqnToConfig

    return TorchAoConfig(FqnToConfig({f"re:{MATRIX}": kind}))


def quantised_as(model: nn.Module) -> str:
    """`int8` or `fp8` of a model whose weights are, however they came to be; "" of whole weights.

    The first block answers for all of an `OmniHumanModel`: each call of a pipeline asks, and going through all of a network takes its time.
    """
    names = {torch.int8: INT8, torch.float8_e4m3fn: FP8}
    first = next(iter(getattr(model, "stacked_blocks", ())), model)
    found = (getattr(weight, "qdata", None) for weight in first.parameters())
    return next((names.get(held.dtype, str(held.dtype)) for held in found if held is not None), "")


def refuse_quantised(model: nn.Module, what: str) -> None:
    """Nothing, unless the weights are in 8 bits.

    Raises:
        InputError: they are, and `what` takes whole ones.
    """
    if held := quantised_as(model):
        raise InputError(f"the weights are in {held}, and {what} takes whole ones: load the model anew with {KEY}=none")


def weight_bytes(module: nn.Module, mode: str = "") -> int:
    """Bytes of a network's weights as it holds them; with a mode, as an `OmniHumanModel` that is whole would hold them in it.

    Also of tensors that have a shape and no bytes.
    """
    counted: dict[int, int] = {}  # by identity: two modules may share a weight
    for name, owner in module.named_modules():
        rounded = bool(mode) and _is_matrix(owner, name)
        for key, weight in owner.named_parameters(recurse=False):
            small = rounded and key == "weight"
            counted[id(weight)] = weight.numel() + len(weight) * _ROW_BYTES[mode] if small else _held(weight)
    return sum(counted.values())


def _held(weight: Tensor) -> int:
    if hasattr(weight, "__tensor_flatten__") and hasattr(weight, "qdata"):
        return sum(_held(getattr(weight, name)) for name in weight.__tensor_flatten__()[0])
    return weight.numel() * weight.element_size()


def _is_matrix(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and re.fullmatch(MATRIX, name) is not None


def _torchao(mode: str) -> Any:
    """torchao's configuration; its setting of PyTorch's compiler, which is the whole process's, is left alone."""
    with _quietly():
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig
    kinds = {INT8: Int8WeightOnlyConfig, FP8: Float8WeightOnlyConfig}
    return kinds[mode](set_inductor_config=False)


def _has_fp8(device: torch.device) -> bool:
    try:
        return bool(torch.ones(1, device=device).to(torch.float8_e4m3fn).to(torch.float32) == 1)
    except (RuntimeError, TypeError, AssertionError):  # as each device says it
        return False


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what importing torchao says of kernels for GPUs that are not there, and of names that PyTorch will change."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
