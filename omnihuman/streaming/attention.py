r"""Self-attention in which a latent sees the reference, the finished latents before it, and itself.

A pass holds n new latents, the finished ones before each of them as far as no earlier pass has left them, and the reference
once. Finished latents are the video's past: clean, of token type motion, modulated at timestep 0, as the model knows the frames
before a segment. What passes from step to step are their keys and values before rotation, which is applied where they are read:
positions count from the latent that looks (`Streaming.position`).

| who looks | sees |
| --- | --- |
| new latent f | reference, finished f - window + 1 .. f - 1, itself |
| finished latent g | reference, finished g - window + 1 .. g |
| reference | reference |

The discriminator's pass has no finished latents: there f sees the latents before it themselves.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from omnihuman.positions import REFERENCE, rotary_at, rotary_of_packed
from omnihuman.streaming.settings import Streaming

Table = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LayerMemory:
    """Of one layer, before rotation: `(B, tokens, heads, head_dim)` each.

    Attributes:
        reference: key and value of the reference, or None where there is none.
        past: key and value of the last finished latents.
    """

    reference: tuple[Tensor, Tensor] | None
    past: tuple[Tensor, Tensor] | None


@dataclass
class Memory:
    """What a stream's next pass needs of those before it.

    Attributes:
        latents: how many finished latents have left keys and values.
        layers: one for each block, of the last `window - 1` of them.
        reference_mask: `(B, 1, 1, 1)` bool, or None where all samples see their reference.
    """

    latents: int = 0
    layers: list[LayerMemory] = field(default_factory=list)
    reference_mask: Tensor | None = None

    def bytes(self) -> int:
        """What it holds."""
        pairs = [pair for layer in self.layers for pair in (layer.reference, layer.past) if pair is not None]
        return sum(tensor.untyped_storage().nbytes() for pair in pairs for tensor in pair)


class Rotary:
    """Tables of one model and picture size, each made once."""

    def __init__(self, model: Any, window: int, rows: int, columns: int):
        """`window`: latents; `rows`, `columns`: of a latent's tokens."""
        self.model, self.window, self.rows, self.columns = model, window, rows, columns
        self._tables: dict[Any, Table] = {}

    def times(self, first: int, count: int) -> Table:
        """Of `count` latents at times from `first` on."""
        if (first, count) not in self._tables:
            times = range(first, first + count)
            self._tables[first, count] = rotary_at(self.model.rope, times, range(self.rows), range(self.columns))
        return self._tables[first, count]

    def reference(self, tokens: int) -> Table:
        """Of the reference's tokens, at the place that the model's configuration says."""
        if ("reference", tokens) not in self._tables:
            config, shape = self.model.config, (self.rows, self.columns)
            count = tokens // (self.rows * self.columns)
            placed, video = (count, *shape), (self.window, *shape)
            self._tables["reference", tokens] = rotary_of_packed(
                self.model.rope, REFERENCE, placed, video, config.reference_position, config.reference_index
            )
        return self._tables["reference", tokens]


def rotated(x: Tensor, table: Table) -> Tensor:
    """`(B, N, heads, head_dim)` with its pairs of channels turned, as diffusers' Wan turns them."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = table[0][..., 0::2], table[1][..., 1::2]
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1).flatten(-2).type_as(x)


@dataclass(frozen=True)
class Layout:
    """The sequence of a pass: new latents, finished latents, reference.

    Attributes:
        start: number of the first new latent.
        new: how many there are.
        first_past: number of the first finished latent in the pass.
        past: how many there are.
        reference: tokens of the reference in the pass; 0 where the memory has them, or nobody.
        frame_tokens: of one latent.
        streaming: how far a latent sees.
        judged: the discriminator's pass.
    """

    start: int
    new: int
    first_past: int
    past: int
    reference: int
    frame_tokens: int
    streaming: Streaming
    judged: bool = False


class CausalAttention:
    """Takes the place of every block's self-attention for one pass; `layer(i)` is what block i calls, `memory()` what is left."""

    def __init__(self, layout: Layout, rotary: Rotary, before: Memory, reference_mask: Tensor | None):
        self.layout, self.rotary, self.before, self.reference_mask = layout, rotary, before, reference_mask
        self._left: dict[int, LayerMemory] = {}

    def layer(self, index: int) -> "LayerAttention":
        """The attention of one block."""
        return LayerAttention(self, index)

    def left(self, index: int, layer: LayerMemory) -> None:
        """Keep what a block leaves; a second pass through the same block, for a gradient, leaves the same."""
        self._left[index] = layer

    def memory(self) -> Memory:
        """For the next pass."""
        layout = self.layout
        layers = [self._left[index] for index in sorted(self._left)]
        return Memory(layout.first_past + layout.past, layers, self.reference_mask)


@dataclass(frozen=True)
class LayerAttention:
    """One block's part of a `CausalAttention`."""

    owner: CausalAttention
    index: int

    def __call__(self, attn: Any, tokens: Tensor) -> Tensor:
        """`(B, N, dim)` normed tokens to what each has gathered, by Wan's weights."""
        layout = self.owner.layout
        query, key, value = _projections(attn, tokens)
        sizes = [layout.new * layout.frame_tokens, layout.past * layout.frame_tokens, layout.reference]
        queries, keys, values = (part.split(sizes, dim=1) for part in (query, key, value))
        reference = (keys[2], values[2]) if layout.reference else self._before("reference")
        past = (keys[0], values[0]) if layout.judged else _joined(self._before("past"), (keys[1], values[1]))
        looking = _Looking(self.owner, attn, past, reference, self._oldest())
        out = [looking.new(i, queries[0], keys[0], values[0]) for i in range(layout.new)]
        out += [looking.past_latent(i, queries[1]) for i in range(layout.past)]
        if layout.reference:
            out.append(looking.reference_tokens(queries[2], keys[2], values[2]))
        if not layout.judged:
            kept = (layout.streaming.window - 1) * layout.frame_tokens
            self.owner.left(self.index, LayerMemory(reference, past and (past[0][:, -kept:], past[1][:, -kept:])))
        gathered = torch.cat(out, dim=1).flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](gathered))

    def _before(self, part: str) -> tuple[Tensor, Tensor] | None:
        layers = self.owner.before.layers
        return getattr(layers[self.index], part) if layers else None

    def _oldest(self) -> int:
        """Number of the first latent whose keys there are."""
        layout, before = self.owner.layout, self._before("past")
        if layout.judged:
            return layout.start
        return layout.first_past - (0 if before is None else before[0].shape[1] // layout.frame_tokens)


class _Looking:
    """Who sees what in one block; keys are turned once for all that look from the same distance."""

    def __init__(
        self,
        owner: CausalAttention,
        attn: Any,
        past: tuple[Tensor, Tensor] | None,
        reference: tuple[Tensor, Tensor] | None,
        oldest: int,
    ):
        self.owner, self.attn, self.past, self.oldest = owner, attn, past, oldest
        self.layout, self.rotary = owner.layout, owner.rotary
        self.reference = reference
        if reference is not None:
            self.reference = rotated(reference[0], self.rotary.reference(reference[0].shape[1])), reference[1]
        self._turned: dict[int, Tensor] = {}

    def new(self, index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Of new latent `index` of the pass."""
        layout, size = self.layout, self.layout.frame_tokens
        number = layout.start + index
        own = slice(index * size, (index + 1) * size)
        table = self.rotary.times(layout.streaming.position(number), 1)
        itself = rotated(keys[:, own], table), values[:, own]
        return self._look(rotated(queries[:, own], table), number, number - 1, itself)

    def past_latent(self, index: int, queries: Tensor) -> Tensor:
        """Of finished latent `index` of the pass."""
        layout, size = self.layout, self.layout.frame_tokens
        number = layout.first_past + index
        table = self.rotary.times(layout.streaming.position(number), 1)
        return self._look(rotated(queries[:, index * size : (index + 1) * size], table), number, number, None)

    def reference_tokens(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Of the reference, which sees itself alone: so it is the same for ever."""
        table = self.rotary.reference(queries.shape[1])
        return self._attend(rotated(queries, table), rotated(keys, table), values, None)

    def _look(self, query: Tensor, number: int, last: int, itself: tuple[Tensor, Tensor] | None) -> Tensor:
        """From latent `number` at the reference, finished latents up to `last`, and itself."""
        layout = self.layout
        keys, values, mask = [], [], None
        if self.reference is not None and layout.streaming.sees_reference(number):
            keys.append(self.reference[0])
            values.append(self.reference[1])
            mask = self.owner.reference_mask
        first = layout.streaming.oldest(number)
        if layout.judged:  # a part of a video is judged without what came before it
            first = max(first, self.oldest)
        if last >= first and self.past is not None:
            seen = slice((first - self.oldest) * layout.frame_tokens, (last + 1 - self.oldest) * layout.frame_tokens)
            keys.append(self._turned_by(layout.streaming.position(number) - number)[:, seen])
            values.append(self.past[1][:, seen])
        if itself is not None:
            keys.append(itself[0])
            values.append(itself[1])
        if mask is not None:
            shown = mask.expand(-1, -1, -1, keys[0].shape[1])
            others = shown.new_ones(shown.shape[0], 1, 1, sum(key.shape[1] for key in keys[1:]))
            mask = torch.cat([shown, others], dim=-1)
        return self._attend(query, torch.cat(keys, dim=1), torch.cat(values, dim=1), mask)

    def _turned_by(self, offset: int) -> Tensor:
        """All keys of the past at their own numbers plus `offset`, as one latent sees them."""
        if offset not in self._turned:
            assert self.past is not None
            count = self.past[0].shape[1] // self.layout.frame_tokens
            self._turned[offset] = rotated(self.past[0], self.rotary.times(self.oldest + offset, count))
        return self._turned[offset]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        backend = getattr(self.attn.processor, "_attention_backend", None)
        return dispatch_attention_fn(query, key, value, attn_mask=mask, backend=backend)


def _projections(attn: Any, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value `(B, N, heads, head_dim)`, normed, not turned."""
    if attn.fused_projections:
        query, key, value = attn.to_qkv(tokens).chunk(3, dim=-1)
    else:
        query, key, value = attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens)
    query, key = attn.norm_q(query), attn.norm_k(key)
    return tuple(part.unflatten(2, (attn.heads, -1)) for part in (query, key, value))  # type: ignore[return-value]


def _joined(before: tuple[Tensor, Tensor] | None, own: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
    if not own[0].shape[1]:
        return before
    return own if before is None else (torch.cat([before[0], own[0]], 1), torch.cat([before[1], own[1]], 1))
