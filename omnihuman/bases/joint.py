"""Blocks of an MMDiT: video, packed reference and motion tokens, and text attend to each other in one attention.

diffusers' blocks keep their weights and names. Beside them stands the audio attention, which video tokens alone have, and packed tokens are
modulated as at timestep 0. Without conditions the arithmetic is that of the published blocks, operation for operation.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from omnihuman.block import gated, hear, modulate, per_segment
from omnihuman.conditions.audio import PerFrameAudioAttention
from omnihuman.positions import Tables

Parts = tuple[Tensor, ...]


@dataclass(frozen=True)
class JointSequence:
    """What every block reads beside the tokens and the text.

    Attributes:
        video_tokens: how many tokens at the front are video; motion and reference tokens follow.
        first: always 0, where a context-parallel rank's slice would begin.
        frame_tokens: video tokens of one latent frame.
        total: video, motion and reference tokens.
        text: `(B, L, dim)` as it goes into the first block.
        time: `(B, dim)` of the video's timestep, with which text is modulated too.
        still: the same for timestep 0, or None when nothing is packed.
        tables: rotary tables of all but text, or None where positions are added to the tokens.
        key_mask: as the base's attention takes it, or None.
        audio: `(B, F, 4, dim)` audio tokens or None.
        audio_mask: `(B,)` or None.
    """

    video_tokens: int
    first: int
    frame_tokens: int
    total: int
    text: Tensor
    time: Tensor
    still: Tensor | None
    tables: Tables | None
    key_mask: Tensor | None
    audio: Tensor | None
    audio_mask: Tensor | None


class HearingBlock(nn.Module):
    """A block with audio attention; mixed into diffusers' own."""

    audio_attn: PerFrameAudioAttention | None

    def build_new_parts(self, dim: int, num_heads: int, eps: float, with_audio: bool) -> None:
        """What the published block does not have, with the values that training starts from."""
        self.audio_attn = PerFrameAudioAttention(dim, num_heads, eps) if with_audio else None

    def heard(self, tokens: Tensor, packed: JointSequence) -> Tensor:
        """The tokens, of which the video's have heard."""
        if self.audio_attn is None or packed.audio is None:
            return tokens
        return hear(self.audio_attn, tokens, packed, packed.audio)


class DualStreamBlock(HearingBlock):
    """Text and the rest have weights of their own and one attention (SD3, arXiv 2403.03206 section 4; HunyuanVideo's first blocks)."""

    norm1: Any
    norm1_context: Any
    norm2: Any
    norm2_context: Any
    attn: Any
    ff: Any
    ff_context: Any

    def forward(self, tokens: Tensor, text: Tensor, packed: JointSequence) -> tuple[Tensor, Tensor]:
        """`(B, N, dim)` and `(B, L, dim)` to the same; text that no later block reads comes back as it was."""
        n, second = packed.video_tokens, getattr(self, "attn2", None)
        # Shift, scale and gate of attention and of feed-forward; of SD3.5's second attention three more.
        video, still = _at_both_times(self.norm1, packed, 6 if second is None else 9)
        normed, context, after = self.norm1.norm(tokens), *self._context(text, packed.time)
        attended, context_attended = self.attn(
            hidden_states=per_segment(modulate, normed, n, video, still, (1, 0)),
            encoder_hidden_states=context,
            attention_mask=packed.key_mask,
            image_rotary_emb=packed.tables,
        )
        tokens = tokens + per_segment(gated, attended, n, video, still, (2,))
        if second is not None:
            own = second(
                hidden_states=per_segment(modulate, normed, n, video, still, (7, 6)),
                attention_mask=None if packed.key_mask is None else packed.key_mask[..., : packed.total],
            )
            tokens = tokens + per_segment(gated, own, n, video, still, (8,))
        tokens = self.heard(tokens, packed)
        grown = self.ff(per_segment(modulate, self.norm2(tokens), n, video, still, (4, 3)))
        tokens = tokens + per_segment(gated, grown, n, video, still, (5,))
        if not after:
            return tokens, text
        gate, shift_mlp, scale_mlp, gate_mlp = (part.unsqueeze(1) for part in after)
        text = text + context_attended * gate
        return tokens, text + gate_mlp * self.ff_context(modulate(self.norm2_context(text), scale_mlp, shift_mlp))

    def _context(self, text: Tensor, time: Tensor) -> tuple[Tensor, Parts]:
        """Normed text, and how what comes after attention is modulated: nothing in SD3's last block, which has no text behind it."""
        if getattr(self, "context_pre_only", False):
            return self.norm1_context(text, time), ()
        normed, *after = self.norm1_context(text, emb=time)
        return normed, tuple(after)


class SingleStreamBlock(HearingBlock):
    """One set of weights for everything, attention beside feed-forward (HunyuanVideo's later blocks)."""

    norm: Any
    attn: Any
    act_mlp: Any
    proj_mlp: Any
    proj_out: Any

    def forward(self, tokens: Tensor, text: Tensor, packed: JointSequence) -> tuple[Tensor, Tensor]:
        """`(B, N, dim)` and `(B, L, dim)` to the same."""
        length, joined = text.shape[1], torch.cat([tokens, text], dim=1)
        video, still = _at_both_times(self.norm, packed, 3)
        normed = _around(modulate, self.norm.norm(joined), packed, video, still, (1, 0))
        grown = self.act_mlp(self.proj_mlp(normed))
        attended = self.attn(
            hidden_states=normed[:, :-length],
            encoder_hidden_states=normed[:, -length:],
            attention_mask=packed.key_mask,
            image_rotary_emb=packed.tables,
        )
        added = self.proj_out(torch.cat([torch.cat(attended, dim=1), grown], dim=2))
        joined = _around(gated, added, packed, video, still, (2,)) + joined
        return self.heard(joined[:, :-length], packed), joined[:, -length:]


def _at_both_times(norm: Any, packed: JointSequence, count: int) -> tuple[Parts, Parts | None]:
    """What a block's modulation is at the video's time and at 0: `(B, 1, dim)` each."""

    def at(time: Tensor) -> Parts:
        return tuple(part[:, None] for part in norm.linear(norm.silu(time)).chunk(count, dim=1))

    return at(packed.time), None if packed.still is None else at(packed.still)


def _around(
    function: Any, x: Tensor, packed: JointSequence, video: Parts, still: Parts | None, which: tuple[int, ...]
) -> Tensor:
    """`per_segment` of a sequence that ends with text, which takes the video's time."""
    if still is None or packed.video_tokens == packed.total:
        return function(x, *(video[i] for i in which))
    front = per_segment(function, x[:, : packed.total], packed.video_tokens, video, still, which)
    return torch.cat([front, function(x[:, packed.total :], *(video[i] for i in which))], dim=1)
