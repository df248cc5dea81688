"""OmniHuman-1's diffusion transformer as a subclass of diffusers' `WanTransformer3DModel`.

Wan's key names stay, so an official Wan2.1 checkpoint loads unchanged; every new weight that touches the output starts
at zero, so step 0 is the base model. Sources: OmniHuman-1 (arXiv 2502.01061) section 3.1; token types, zero timestep and
the far reference index are Wan2.2-S2V's.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# ModelMixin is unused here, but diffusers looks for it in the module that a pipeline's model_index.json names; without it
# `OmniHumanPipeline.from_pretrained` finds no way to load the transformer.
from diffusers import ModelMixin as ModelMixin
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from omnihuman.audio import AudioProjection, PerFrameAudioAttention
from omnihuman.pose import PoseGuider

REFERENCE, MOTION = 0, 1
# What `forward` calls its inputs in diffusers' words, and `pack` in its own.
_PACK_NAMES = {"encoder_hidden_states": "text", "encoder_hidden_states_image": "image"}


@dataclass(frozen=True)
class PackedSequence:
    """What every block reads beside the hidden states.

    Attributes:
        video_tokens: how many tokens at the front are video; motion and reference tokens follow.
        text: `(B, L, dim)` projected text, image tokens first where Wan I2V has them.
        modulation: `(B, 6, dim)` of the video's timestep.
        packed_modulation: the same for timestep 0, or None when nothing is packed.
        rotary: cosine and sine, `(1, N, 1, head_dim)` each.
        key_mask: `(B, 1, 1, N)` bool, or None when every token is visible to all.
        audio: `(B, F, 4, dim)` audio tokens or None.
        audio_mask: `(B,)` or None.
    """

    video_tokens: int
    text: Tensor
    modulation: Tensor
    packed_modulation: Tensor | None
    rotary: tuple[Tensor, Tensor]
    key_mask: Tensor | None
    audio: Tensor | None
    audio_mask: Tensor | None


class OmniHumanBlock(WanTransformerBlock):
    """Wan's block with audio cross-attention between text cross-attention and feed-forward."""

    def __init__(self, dim: int, ffn_dim: int, num_heads: int, qk_norm: str | None, cross_attn_norm: bool, eps: float,
                 added_kv_proj_dim: int | None, with_audio: bool):
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim)
        self.audio_attn = PerFrameAudioAttention(dim, num_heads, eps) if with_audio else None

    def forward(self, hidden_states: Tensor, packed: PackedSequence) -> Tensor:
        """`(B, N, dim)` to the same, the arithmetic of `WanTransformerBlock` where no condition is given."""
        n = packed.video_tokens
        video = (self.scale_shift_table + packed.modulation.float()).chunk(6, dim=1)
        still = None
        if packed.packed_modulation is not None:
            still = (self.scale_shift_table + packed.packed_modulation.float()).chunk(6, dim=1)

        normed = _per_segment(_modulate, self.norm1(hidden_states.float()), n, video, still, (1, 0))
        attended = self.attn1(normed.type_as(hidden_states), None, packed.key_mask, packed.rotary)
        hidden_states = (hidden_states.float() + _per_segment(_gate, attended, n, video, still, (2,))).type_as(hidden_states)

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(normed, packed.text, None, None)

        if self.audio_attn is not None and packed.audio is not None:
            increment = self.audio_attn(hidden_states[:, :n], packed.audio, packed.audio_mask)
            hidden_states = torch.cat([hidden_states[:, :n] + increment, hidden_states[:, n:]], dim=1)

        normed = _per_segment(_modulate, self.norm3(hidden_states.float()), n, video, still, (4, 3))
        grown = self.ffn(normed.type_as(hidden_states)).float()
        return (hidden_states.float() + _per_segment(_gate, grown, n, video, still, (5,))).type_as(hidden_states)


def _modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def _gate(x: Tensor, gate: Tensor) -> Tensor:
    return x * gate


def _per_segment(function: Callable[..., Tensor], x: Tensor, n: int, video: tuple[Tensor, ...],
                 still: tuple[Tensor, ...] | None, which: tuple[int, ...]) -> Tensor:
    """Video tokens take the modulation of their timestep, packed tokens that of timestep 0."""
    front = function(x if still is None else x[:, :n], *(video[i] for i in which))
    return front if still is None else torch.cat([front, function(x[:, n:], *(still[i] for i in which))], dim=1)


class OmniHumanTransformer3DModel(WanTransformer3DModel):
    """Text, reference, audio and pose on one Wan backbone. New configuration, beside Wan's own:

    Args:
        audio_dim, audio_layers: width and number of the wav2vec 2.0 hidden states.
        audio_window: neighbouring frames concatenated on either side.
        audio_blocks: blocks with audio attention; None is every block (OmniHuman-1).
        pose_keypoints: how many keypoint heatmaps.
        pose_channels: width of the pose guider.
        reference_position: "far" puts the reference at temporal index `reference_index` (Wan2.2-S2V: 30); "zero" gives it
            no temporal rotation (OmniHuman-1) and moves it past the video's rows and columns, so that no reference
            token shares the position of a token of video frame 0.
    """

    _no_split_modules = ["OmniHumanBlock"]
    _repeated_blocks = ["OmniHumanBlock"]
    # Wan's plan splits the video's own rotary table; packed tokens and per-frame audio would be split wrongly. None makes
    # `enable_parallelism` refuse instead.
    _cp_plan = None

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        audio_dim: int = 768,
        audio_layers: int = 13,
        audio_window: int = 1,
        audio_blocks: tuple[int, ...] | None = None,
        pose_keypoints: int = 133,
        pose_channels: int = 16,
        reference_position: str = "far",
        reference_index: int = 30,
    ) -> None:
        if reference_position not in ("far", "zero"):
            raise ValueError(f"reference_position is 'far' or 'zero', got {reference_position!r}")
        super().__init__(
            patch_size, num_attention_heads, attention_head_dim, in_channels, out_channels, text_dim, freq_dim, ffn_dim,
            0, cross_attn_norm, qk_norm, eps, image_dim, added_kv_proj_dim, rope_max_seq_len, pos_embed_seq_len,
        )
        # Wan's constructor records its own call; the configuration that is saved is this one.
        self.register_to_config(num_layers=num_layers)
        dim = num_attention_heads * attention_head_dim
        heard = set(range(num_layers)) if audio_blocks is None else set(audio_blocks)
        if heard - set(range(num_layers)):
            raise ValueError(f"audio_blocks {sorted(heard)} name blocks that a model of {num_layers} layers does not have")
        self.blocks = nn.ModuleList(
            OmniHumanBlock(dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim, i in heard)
            for i in range(num_layers)
        )
        self.audio_projection = AudioProjection(audio_dim, audio_layers, dim, audio_window)
        self.pose_guider = PoseGuider(pose_keypoints, pose_channels)
        # The pose channels' slice of a widened patch embedding: conv([latent, pose]) = conv(latent) + conv'(pose). Kept
        # apart so that Wan's own `patch_embedding.weight` loads with its published shape.
        self.pose_patch_embedding = nn.Conv3d(self.pose_guider.out_channels, dim, patch_size, patch_size, bias=False)
        nn.init.zeros_(self.pose_patch_embedding.weight)
        self.token_types = nn.Parameter(torch.zeros(2, dim))

    @classmethod
    def from_wan(cls, path_or_id: str, **new_parts: Any) -> "OmniHumanTransformer3DModel":
        """Start from an official Wan2.1 diffusers transformer (folder or hub id), key for key.

        Args:
            path_or_id: a folder with `config.json` and safetensors, or a hub id with a `transformer` subfolder.
            new_parts: OmniHuman's own configuration (`audio_dim` and so on).

        Raises:
            ValueError: a published key is missing, left over, or has another shape.
        """
        subfolder = None if (Path(path_or_id) / "config.json").is_file() else "transformer"
        wan = WanTransformer3DModel.from_pretrained(path_or_id, subfolder=subfolder, use_safetensors=True)
        known = set(inspect.signature(WanTransformer3DModel.__init__).parameters)
        model = cls(**{k: v for k, v in wan.config.items() if k in known}, **new_parts)
        own, base = model.state_dict(), wan.state_dict()
        left_over = sorted(set(base) - set(own))
        misshapen = sorted(k for k in base if k in own and base[k].shape != own[k].shape)
        if left_over or misshapen:
            raise ValueError(f"{path_or_id}: keys without a place {left_over[:5]}, keys of another shape {misshapen[:5]}")
        model.load_state_dict(base, strict=False)
        return model.to(wan.dtype)

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        audio: Tensor | None = None,
        pose: Tensor | None = None,
        reference: Tensor | None = None,
        motion: Tensor | None = None,
        *,
        audio_mask: Tensor | None = None,
        pose_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        motion_mask: Tensor | None = None,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity eps - x_0. Every condition is optional; with none this is `WanTransformer3DModel.forward`.

        Args:
            hidden_states: `(B, 16, F, h, w)` noisy latents.
            timestep: `(B,)` in [0, 1000].
            encoder_hidden_states: `(B, L, text_dim)`.
            audio: `(B, 4F-3, K, audio_dim)` wav2vec hidden states, one per video frame.
            pose: `(B, keypoints, 4F-3, 4h, 4w)` heatmaps from `omnihuman.pose.render_heatmaps`.
            reference: `(B, 16, R, h, w)` latents of reference images.
            motion: `(B, 16, M, h, w)` latents of the frames before this segment (5 frames = 2 latents).
            audio_mask, pose_mask, reference_mask, motion_mask: `(B,)`; 0 switches the condition off for that sample.
            encoder_hidden_states_image: Wan I2V's image tokens.

        Returns:
            `(B, 16, F, h, w)`.
        """
        tokens, packed, temb = self.pack(
            hidden_states, timestep, encoder_hidden_states, audio, pose, reference, motion, audio_mask, pose_mask,
            reference_mask, encoder_hidden_states_image, motion_mask,
        )
        for block in self.blocks:
            tokens = self._run(block, tokens, packed)
        output = self._unpatchify(tokens[:, : packed.video_tokens], temb, hidden_states.shape)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def features(self, at: tuple[int, ...], **inputs: Any) -> list[Tensor]:
        """Video tokens `(B, N, dim)` after the blocks `at` (counted from 1); the discriminator's view of the backbone."""
        names = ("hidden_states", "timestep", "encoder_hidden_states", "audio", "pose", "reference", "motion",
                 "audio_mask", "pose_mask", "reference_mask", "motion_mask", "encoder_hidden_states_image")
        given: dict[str, Any] = {_PACK_NAMES.get(name, name): inputs.get(name) for name in names}
        tokens, packed, _ = self.pack(**given)
        seen = []
        for index, block in enumerate(self.blocks[: max(at)], start=1):
            tokens = self._run(block, tokens, packed)
            if index in at:
                seen.append(tokens[:, : packed.video_tokens])
        return seen

    def pack(self, hidden_states: Tensor, timestep: Tensor, text: Tensor, audio: Tensor | None, pose: Tensor | None,
             reference: Tensor | None, motion: Tensor | None, audio_mask: Tensor | None, pose_mask: Tensor | None,
             reference_mask: Tensor | None, image: Tensor | None,
             motion_mask: Tensor | None = None) -> tuple[Tensor, PackedSequence, Tensor]:
        """Embed everything and lay video, motion and reference tokens into one sequence."""
        tokens = self.patch_embedding(hidden_states)
        if pose is not None:
            guided = self.pose_guider(pose.to(hidden_states))
            if pose_mask is not None:
                guided = guided * pose_mask.view(-1, 1, 1, 1, 1).to(guided)
            tokens = tokens + self.pose_patch_embedding(guided)
        tokens = tokens.flatten(2).transpose(1, 2).contiguous()
        n = tokens.shape[1]

        temb, modulation, text, image = self.condition_embedder(timestep, text, image)
        modulation = modulation.unflatten(1, (6, -1))
        if image is not None:
            text = torch.cat([image, text], dim=1)

        rotary = [self.rope(hidden_states)]
        pieces = [tokens]
        masks: list[Tensor | None] = [None]
        for latents, kind, mask in ((motion, MOTION, motion_mask), (reference, REFERENCE, reference_mask)):
            if latents is not None:
                embedded = self.patch_embedding(latents.to(hidden_states)).flatten(2).transpose(1, 2)
                pieces.append(embedded + self.token_types[kind].to(embedded))
                masks.append(mask)
                rotary.append(self._packed_rotary(latents, kind, hidden_states))
        packed_modulation, key_mask = None, None
        if len(pieces) > 1:
            packed_modulation = self._modulation_at_zero(timestep, text).unflatten(1, (6, -1))
            tokens = torch.cat(pieces, dim=1)
        if any(mask is not None for mask in masks):
            every = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
            shown = [(every if m is None else m.bool())[:, None].expand(-1, p.shape[1]) for m, p in zip(masks, pieces, strict=True)]
            key_mask = torch.cat(shown, dim=1)[:, None, None, :]
        tables = (torch.cat([r[0] for r in rotary], dim=1), torch.cat([r[1] for r in rotary], dim=1))
        heard = None if audio is None else self.audio_projection(audio.to(hidden_states))
        return tokens, PackedSequence(n, text, modulation, packed_modulation, tables, key_mask, heard, audio_mask), temb

    def _modulation_at_zero(self, timestep: Tensor, text: Tensor) -> Tensor:
        """`(B, 6 dim)`: reference and motion tokens are clean, so they are modulated as at timestep 0 (Wan2.2-S2V)."""
        embedder = self.condition_embedder
        projected = embedder.timesteps_proj(torch.zeros_like(timestep)).to(embedder.time_embedder.linear_1.weight.dtype)
        return embedder.time_proj(embedder.act_fn(embedder.time_embedder(projected).type_as(text)))

    def _packed_rotary(self, latents: Tensor, kind: int, video: Tensor) -> tuple[Tensor, Tensor]:
        """Positions that no video token has: motion at negative times, the reference far away or beside the frame."""
        count, rows, columns = latents.shape[2], latents.shape[3] // 2, latents.shape[4] // 2
        row_0 = column_0 = 0
        if kind == MOTION:
            times = list(range(-count, 0))
        elif self.config.reference_position == "far":
            times = list(range(self.config.reference_index, self.config.reference_index + count))
            if video.shape[2] > self.config.reference_index:
                raise ValueError(
                    f"{video.shape[2]} video latents reach the reference's temporal index {self.config.reference_index}; "
                    "raise reference_index or use reference_position='zero'"
                )
        else:
            times = [0] * count
            row_0, column_0 = video.shape[3] // 2, video.shape[4] // 2
        return self._rotary_at(times, range(row_0, row_0 + rows), range(column_0, column_0 + columns))

    def _rotary_at(self, times: list[int], rows: range, columns: range) -> tuple[Tensor, Tensor]:
        """Rotary tables at any integer positions; cos is even and sin is odd, which gives negative times."""
        sizes = [self.rope.t_dim, self.rope.h_dim, self.rope.w_dim]
        tables = []
        for table, odd in ((self.rope.freqs_cos, False), (self.rope.freqs_sin, True)):
            t, h, w = table.split(sizes, dim=1)
            signs = torch.tensor([-1.0 if odd and i < 0 else 1.0 for i in times]).to(table)
            shape = (len(times), len(rows), len(columns), -1)
            parts = (
                (t[[abs(i) for i in times]] * signs[:, None])[:, None, None].expand(shape),
                h[list(rows)][None, :, None].expand(shape),
                w[list(columns)][None, None].expand(shape),
            )
            tables.append(torch.cat(parts, dim=-1).reshape(1, len(times) * len(rows) * len(columns), 1, -1))
        return tables[0], tables[1]

    def _run(self, block: nn.Module, tokens: Tensor, packed: PackedSequence) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, tokens, packed)
        return block(tokens, packed)

    def _unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size) -> Tensor:
        batch, _, frames, height, width = shape
        p_t, p_h, p_w = self.config.patch_size
        shift, scale = (self.scale_shift_table.to(temb.device) + temb.unsqueeze(1)).chunk(2, dim=1)
        tokens = (self.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        tokens = self.proj_out(tokens)
        grid = tokens.reshape(batch, frames // p_t, height // p_h, width // p_w, p_t, p_h, p_w, -1)
        return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
