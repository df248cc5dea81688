"""A rank's batch in parts: one for each accumulation step."""

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from training.data.batch import Batch


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Cut a rank's batch into `parts` micro-batches of equal size, in order."""
    if parts == 1:
        return [batch]
    size = len(batch.labels) // parts
    return [narrow_batch(batch, start, size) for start in range(0, size * parts, size)]


def narrow_batch(batch: Batch, start: int, size: int) -> Batch:
    """`size` samples from the one numbered `start` on."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    cut: dict[str, Any] = {k: v.narrow(0, start, size) for k, v in values.items() if isinstance(v, Tensor)}
    return replace(batch, **cut, samples=batch.samples[start : start + size])
