"""Weights in fp8 beside their scales, as ComfyUI's and vLLM's files have them: joined by name, multiplied when they are read.

A scale is one number for the whole matrix, or one for each of its rows. What a file is computed with there, fp8 products, is not done here: the numbers are
brought to what they stand for, once, and computed with as any other.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from safetensors import safe_open
from torch import Tensor

from omnihuman.bases.stored_tensor import CheckpointError, StoredTensor

KINDS = ("F8_E4M3", "F8_E5M2")
OF_WEIGHTS = ("scale_weight", "weight_scale")
OF_INPUTS = ("scale_input", "input_scale")  # for products in fp8, which are not computed here
MARK = "scaled_fp8"
SCALAR_KINDS = ("F32", "F16", "BF16")


def joined_to_scales(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Give each weight in fp8 its scale, and leave out what belongs to it; everything else stays, to be judged by its own name.

    Args:
        stored: by the file's own names.

    Raises:
        CheckpointError: a scale that is neither one number nor one for each row.
    """
    left = dict(stored)
    for name, part in stored.items():
        module, dot, last = name.rpartition(".")
        beside = [f"{module}{dot}{kind}" for kind in OF_WEIGHTS if f"{module}{dot}{kind}" in stored]
        if part.dtype not in KINDS or last != "weight" or len(beside) != 1:
            continue
        scale = stored[beside[0]]
        rows = part.shape[0]
        if scale.dtype not in SCALAR_KINDS or scale.shape not in ((), (1,), (rows,), (rows, 1)):
            raise CheckpointError(
                f"{scale.file}: {scale.name} is {scale.shape} in {scale.dtype}, and {name} is {part.shape}: a scale is one number or one for each of the "
                f"{rows} rows. Take the model in bfloat16 from where it was published"
            )
        left[name] = replace(part, scale=scale)
        for other in (*beside, *(f"{module}{dot}{kind}" for kind in OF_INPUTS)):
            left.pop(other, None)
    if any(part.scale for part in left.values()):
        left = {name: part for name, part in left.items() if name.rpartition(".")[2] != MARK}
    return left


def scaled(value: Tensor, stored: StoredTensor) -> Tensor:
    """A weight as it was read, times its scale in float32 where it has one."""
    if stored.scale is None:
        return value
    with safe_open(stored.scale.file, framework="pt") as opened:
        scale = opened.get_tensor(stored.scale.name).to(torch.float32)
    return value.to(torch.float32) * scale.reshape(-1, *[1] * (value.ndim - 1))
