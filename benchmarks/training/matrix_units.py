"""Products of bfloat16 matrices as the units of an accelerator make them, on processors that have none or leave them alone: from float32 sums, rounded once."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from omnihuman.placement import computes_in_bfloat16

PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default}


def as_matrix_units() -> AbstractContextManager[Any]:
    """Inside it products of bfloat16 matrices are float32's, rounded to bfloat16; where there are such units nothing is changed.

    A product of two bfloat16 is exact in float32, so that only the order of the sum differs. Without units torch multiplies element by element:
    ten times as slowly as it multiplies float32.
    """
    return nullcontext() if computes_in_bfloat16() else _Products()


class _Products(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS and args[-1].dtype == torch.bfloat16:
            return func(*(one.float() for one in args), **(kwargs or {})).bfloat16()
        return func(*args, **(kwargs or {}))
