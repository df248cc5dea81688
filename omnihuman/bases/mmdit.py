"""OmniHuman around an MMDiT: text joins the attention of video, reference and motion tokens (OmniHuman-1's own kind of base)."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.bases.joint import JointSequence
from omnihuman.bases.model import OmniHumanModel, front, shown_tokens, with_unseen
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.positions import Tables
from omnihuman.precision import edge_dtype


@dataclass(frozen=True)
class JoinedText:
    """Text as an MMDiT takes it.

    Attributes:
        tokens: `(B, L, dim)`.
        shown: `(B, L)` bool, or None where all of it is seen.
        pooled: `(B, D)`, one vector of the whole prompt, or None.
    """

    tokens: Tensor
    shown: Tensor | None
    pooled: Tensor | None


def rows_shown(rows: Tensor) -> Tensor:
    """`(B, L)` bool of `(B, L, D)`: rows past the text are zeros, as the text encoder leaves them. The first counts in any case."""
    shown = (rows != 0).any(dim=-1)
    shown[:, 0] = True
    return shown


def of_width(rows: Tensor, width: int) -> Tensor:
    """The first numbers of `(..., D)` rows of the words' width; zeros where a cut-down model's are narrower."""
    first = rows[..., :width]
    return F.pad(first, (0, width - first.shape[-1]))


class MMDiT(OmniHumanModel):
    """Packing, and the way through blocks whose text changes from block to block."""

    splits_sequence = False
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    transformer_blocks: Any
    norm_out: Any
    proj_out: Any

    # What a base brings.

    @property
    @abstractmethod
    def patch_convolution(self) -> nn.Module:
        """Of the patch embedding."""

    @abstractmethod
    def join_text(self, rows: Tensor, timestep: Tensor) -> JoinedText:
        """Embed `(B, L, D)` rows of text."""

    @abstractmethod
    def embed_time(self, timestep: Tensor, pooled: Tensor | None) -> Tensor:
        """`(B, dim)` that modulates every block."""

    @abstractmethod
    def video_tables(self, latents: Tensor) -> Tables | None:
        """Positions of the video's tokens; None where they are added to the tokens."""

    @abstractmethod
    def key_mask(self, seen: Tensor | None, text: JoinedText, batch: int, total: int) -> Tensor | None:
        """As the base's attention takes it; `seen` `(B, total)` are the tokens that may be seen, None all."""

    # What every MMDiT shares.

    @property
    def stacked_blocks(self) -> Sequence[nn.Module]:
        """All have two streams."""
        return cast(Sequence[nn.Module], self.transformer_blocks)

    @property
    def read_out(self) -> Sequence[nn.Module | nn.Parameter]:
        """Projection and its modulation."""
        return self.norm_out, self.proj_out

    def without_pooled(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of text without CLIP's, and its `(B, D)` vector of the whole prompt: zeros where `pooled_text` says that there is none."""
        width = self.config.pooled_projection_dim
        if self.config.pooled_text:
            return rows[:, 1:], of_width(rows[:, 0], width)
        return rows, rows.new_zeros(len(rows), width)

    def enable_parallelism(self, *, config: Any, cp_plan: Any = None) -> None:
        """Refuse it: the plan that splits a packed sequence is Wan's.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{type(self).__name__} does not split a sequence over ranks; set engine.sequence_parallel (and adversarial_videos.sequence_parallel) to 1"
        )

    def pack(
        self, hidden_states: Tensor, timestep: Tensor, inputs: ConditionInputs
    ) -> tuple[Tensor, JointSequence, Tensor]:
        """Embed everything and lay video, motion and reference tokens into one sequence; also the timestep's embedding."""
        hidden_states = hidden_states.to(edge_dtype(self.patch_convolution))
        grid = self.grid(hidden_states)
        self.check_conditions(grid[0], timestep, inputs)
        hidden_states = self.widened(hidden_states)
        video = self.embed_video(hidden_states, inputs)
        text = self.join_text(inputs.text.to(hidden_states), timestep)
        time, still = self.embed_time(timestep, text.pooled), None
        pieces, masks, tables, unseen = self.packed_pieces(hidden_states, inputs)
        if pieces or unseen:
            still = self.embed_time(torch.zeros_like(timestep), text.pooled)
            video = with_unseen(video, unseen, still)
        tokens, own = video, self.video_tables(hidden_states)
        if pieces:
            tokens = torch.cat([video, *pieces], dim=1)
            if own is not None:
                cosine, sine = zip(own, *tables, strict=True)
                own = torch.cat(cosine), torch.cat(sine)
        seen = shown_tokens([video, *pieces], [None, *masks])
        packed = JointSequence(
            video_tokens=video.shape[1],
            first=0,
            frame_tokens=video.shape[1] // grid[0],
            total=tokens.shape[1],
            text=text.tokens,
            time=time,
            still=still,
            tables=own,
            key_mask=self.key_mask(seen, text, len(tokens), tokens.shape[1]),
            audio=None if inputs.audio is None else self.audio_projection(inputs.audio.to(hidden_states)),
            audio_mask=inputs.audio_mask,
        )
        return tokens, packed, time

    def through(self, tokens: Tensor, packed: JointSequence, blocks: Sequence[nn.Module]) -> Iterator[Tensor]:
        """The tokens after each block; text goes along."""
        text = packed.text
        for block in blocks:
            tokens, text = self.run_block(block, tokens, text, packed)
            yield tokens

    def unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size, total: int) -> Tensor:
        """Read the velocity out of the video's tokens: channels first within a patch, as HunyuanVideo orders them."""
        batch, _, frames, height, width = shape
        p_t, p_h, p_w = self.patch
        rows, columns = height // p_h, width // p_w
        video = front(tokens, frames // p_t * rows * columns)
        out = self.proj_out(self.norm_out(video, temb))
        grid = out.reshape(batch, frames // p_t, rows, columns, -1, p_t, p_h, p_w)
        return grid.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)
