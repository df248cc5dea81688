"""One rank's share of a batch before it is loaded: who is in it is known, tensors come a micro-batch at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.data.batch import Batch, OfSamples, SampleDraw


@dataclass(frozen=True)
class Part:
    """Which micro-batch: number `index` of `parts` of a rank's share of batch `number`; `images` are first latents alone."""

    number: int
    rank: int
    ranks: int
    images: bool
    index: int
    parts: int

    def following(self, step: int) -> Iterator["Part"]:
        """The parts after this one without an end, where the next batch is `step` further."""
        part = self
        while True:
            more = part.index + 1 < part.parts
            part = replace(part, index=part.index + 1) if more else replace(part, number=part.number + step, index=0)
            yield part


@dataclass(frozen=True)
class RankBatch(OfSamples):
    """What a training asks of its share of a batch: `split` loads it.

    Attributes:
        samples: which each one is and what was drawn for it.
        given: conditions that the model is given.
        outline: shape of one sample's latents, reference, motion and text, for whoever counts tokens.
        load: gives micro-batch `index` of `parts`.
    """

    samples: tuple[SampleDraw, ...]
    given: frozenset[str]
    outline: dict[str, tuple[int, ...]]
    load: Callable[[int, int], Batch]

    def split(self, parts: int) -> Iterator[Batch]:
        """`parts` micro-batches of equal size, in order, each loaded when it is asked for or a little before."""
        return (self.load(index, parts) for index in range(parts))

    @property
    def latents(self) -> Tensor:
        """Their shape alone, as of the three that follow."""
        return self._empty("latents")

    @property
    def reference(self) -> Tensor:
        return self._empty("reference_latents")

    @property
    def motion(self) -> Tensor:
        return self._empty("motion_latents")

    @property
    def text(self) -> Tensor:
        return self._empty("text")

    def _empty(self, name: str) -> Tensor:
        """A tensor of the right shape and no contents."""
        return torch.empty((len(self.samples), *self.outline[name]), device="meta")
