"""One layer: Wan's block with per-frame audio attention, on a sequence of video, motion and reference tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor

from omnihuman.conditions.audio import PerFrameAudioAttention


@dataclass(frozen=True)
class PackedSequence:
    """What every block reads beside the hidden states.

    Attributes:
        video_tokens: how many tokens at the front are video; motion and reference tokens follow. Under context
            parallelism those of this rank's slice, which may be none or all of it.
        first: position of the slice's first token in the whole sequence; 0 without context parallelism.
        frame_tokens: video tokens of one latent frame.
        total: tokens of the whole sequence.
        text: `(B, L, dim)` projected text, image tokens first where Wan I2V has them.
        modulation: `(B, 6, dim)` of the video's timestep, or `(B, N, 6, dim)` of its tokens' (Wan2.2-TI2V).
        packed_modulation: the same for timestep 0, or None when nothing is packed.
        rotary: cosine and sine, `(1, N, 1, head_dim)` each, of the slice.
        key_mask: `(B, 1, 1, N)` bool over the whole sequence (Ulysses attends to all of it), or None when every token is
            visible to all.
        audio: `(B, F, 4, dim)` audio tokens or None.
        audio_mask: `(B,)` or None.
        memory: attends instead of the block's own self-attention, given its weights and the normed tokens; None outside streams
            (`omnihuman.streaming`).
    """

    video_tokens: int
    first: int
    frame_tokens: int
    total: int
    text: Tensor
    modulation: Tensor
    packed_modulation: Tensor | None
    rotary: tuple[Tensor, Tensor]
    key_mask: Tensor | None
    audio: Tensor | None
    audio_mask: Tensor | None
    memory: Callable[[Any, Tensor], Tensor] | None = None


class OmniHumanBlock(WanTransformerBlock):
    """Wan's block with audio cross-attention between text cross-attention and feed-forward."""

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str | None,
        cross_attn_norm: bool,
        eps: float,
        added_kv_proj_dim: int | None,
        with_audio: bool,
    ):
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim)
        self.build_new_parts(dim, num_heads, eps, with_audio)

    def build_new_parts(self, dim: int, num_heads: int, eps: float, with_audio: bool) -> None:
        """What Wan's block does not have, with the values that training starts from."""
        self.audio_attn = PerFrameAudioAttention(dim, num_heads, eps) if with_audio else None

    def forward(self, hidden_states: Tensor, packed: PackedSequence) -> Tensor:
        """`(B, N, dim)` to the same, the arithmetic of `WanTransformerBlock` where no condition is given."""
        n = packed.video_tokens
        video = six_parts(self.scale_shift_table, packed.modulation)
        still = None
        if packed.packed_modulation is not None:
            still = six_parts(self.scale_shift_table, packed.packed_modulation)

        normed = per_segment(modulate, self.norm1(hidden_states.float()), n, video, still, (1, 0))
        normed = normed.type_as(hidden_states)
        if packed.memory is None:
            attended = self.attn1(normed, None, packed.key_mask, packed.rotary)
        else:
            attended = packed.memory(self.attn1, normed)
        hidden_states = (hidden_states.float() + per_segment(gated, attended, n, video, still, (2,))).type_as(
            hidden_states
        )

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(normed, packed.text, None, None)

        if self.audio_attn is not None and packed.audio is not None:
            hidden_states = hear(self.audio_attn, hidden_states, packed, packed.audio)

        normed = per_segment(modulate, self.norm3(hidden_states.float()), n, video, still, (4, 3))
        grown = self.ffn(normed.type_as(hidden_states)).float()
        return (hidden_states.float() + per_segment(gated, grown, n, video, still, (5,))).type_as(hidden_states)


def six_parts(table: Tensor, modulation: Tensor) -> tuple[Tensor, ...]:
    """Shift, scale and gate of attention and of feed-forward: `(B, 1, dim)` each, or `(B, N, dim)` of times by token."""
    if modulation.ndim == 4:
        return tuple(part.squeeze(2) for part in (table.unsqueeze(0) + modulation.float()).chunk(6, dim=2))
    return (table + modulation.float()).chunk(6, dim=1)


def hear(audio_attn: PerFrameAudioAttention, hidden_states: Tensor, packed: Any, audio: Tensor) -> Tensor:
    """Tokens of which the video's have heard `(B, F, 4, dim)` audio; `packed` says which these are, and whom it is muted for."""
    n = packed.video_tokens
    listening = hidden_states if n == hidden_states.shape[1] else hidden_states[:, :n]
    heard = listening + audio_attn(listening, audio, packed.audio_mask, packed.first, packed.frame_tokens)
    return heard if n == hidden_states.shape[1] else torch.cat([heard, hidden_states[:, n:]], dim=1)


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift normed tokens."""
    return x * (1 + scale) + shift


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """Weigh what a layer adds."""
    return x * gate


def per_segment(
    function: Callable[..., Tensor],
    x: Tensor,
    n: int,
    video: tuple[Tensor, ...],
    still: tuple[Tensor, ...] | None,
    which: tuple[int, ...],
) -> Tensor:
    """Video tokens take the modulation of their timestep, packed tokens that of timestep 0."""
    if still is None or n == x.shape[1]:
        return function(x, *(video[i] for i in which))
    if n == 0:
        return function(x, *(still[i] for i in which))
    front = function(x[:, :n], *(video[i] for i in which))
    return torch.cat([front, function(x[:, n:], *(still[i] for i in which))], dim=1)
