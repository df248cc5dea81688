"""Weights of dialects as tensors, for those who compute with them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from omnihuman.wan.dialects.adapters import Adapter, Update
from omnihuman.wan.dialects.tensor_files import StoredBytes

KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_NAMES = {kind: name for name, kind in KINDS.items()}


def held(tensor: Tensor) -> StoredBytes:
    """A tensor as a file would have it."""
    plain = tensor.detach().cpu().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return StoredBytes(_NAMES[plain.dtype], tuple(plain.shape), held=data)


def tensor_of(stored: StoredBytes) -> Tensor:
    """The tensor of stored bytes, in memory of its own. Raises KeyError for kinds other than `KINDS`."""
    return torch.frombuffer(bytearray(stored.read()), dtype=KINDS[stored.dtype]).reshape(stored.shape)


def stacked(adapters: Sequence[Adapter]) -> Adapter:
    """One LoRA that adds what several add: their matrices side by side, each with its own scale in its upper one.

    The numbers that are scaled are float32; a matrix that one of them changes alone stays as it is.
    """
    updates: dict[str, Update] = {}
    for module in dict.fromkeys(module for adapter in adapters for module in adapter.updates):
        several = [adapter.updates[module] for adapter in adapters if module in adapter.updates]
        if len(several) == 1:
            updates[module] = several[0]
            continue
        down = torch.cat([tensor_of(one.down).float() for one in several])
        up = torch.cat([tensor_of(one.up).float() * (one.alpha / one.rank) for one in several], dim=1)
        updates[module] = Update(held(down), held(up), float(len(down)))
    return Adapter(Path(), "diffusers", updates, "metadata")


def kept(adapter: Adapter) -> Adapter:
    """The same LoRA with its bytes in memory, so that its file may go."""
    updates = {
        module: Update(_kept(update.down), _kept(update.up), update.alpha) for module, update in adapter.updates.items()
    }
    return replace(adapter, updates=updates)


def _kept(stored: StoredBytes) -> StoredBytes:
    return StoredBytes(stored.dtype, stored.shape, held=stored.read())
