"""A rank's batch in parts: one for each accumulation step."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from training.data.batch import Batch
from training.data.rank_batch import RankBatch


def split_batch(batch: Batch | RankBatch, parts: int) -> Iterable[Batch]:
    """Cut a rank's batch into `parts` micro-batches of equal size, in order; what is not loaded is loaded part by part."""
    if isinstance(batch, RankBatch):
        return batch.split(parts)
    if parts == 1:
        return [batch]
    size = len(batch.labels) // parts
    return [narrow_batch(batch, start, size) for start in range(0, size * parts, size)]


def narrow_batch(batch: Batch, start: int, size: int) -> Batch:
    """`size` samples from the one numbered `start` on."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    cut: dict[str, Any] = {k: v.narrow(0, start, size) for k, v in values.items() if isinstance(v, Tensor)}
    return replace(batch, **cut, samples=batch.samples[start : start + size])
