"""OmniHuman-1's diffusion transformer around diffusers' `WanTransformer3DModel`: Wan2.1 and Wan2.2-TI2V-5B.

What every base gets is `omnihuman.bases.model`'s; Wan's key names stay, so an official checkpoint loads unchanged.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

# ModelMixin is unused here, but diffusers looks for it in the module that a pipeline's model_index.json names; without it
# `OmniHumanPipeline.from_pretrained` finds no way to load the transformer.
from diffusers import ModelMixin as ModelMixin
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from diffusers.utils import logging
from torch import Tensor, nn

from omnihuman.bases.backbone import Revision
from omnihuman.bases.checkpoint import Checkpoint, LoadReport
from omnihuman.bases.model import OmniHumanModel, front, shown_tokens, with_unseen
from omnihuman.block import OmniHumanBlock, PackedSequence
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.context_parallel import (
    PLAN,
    SequenceEntry,
    SequenceExit,
    check_heads,
    check_tokens,
    context_parallel,
    join_slices,
)
from omnihuman.errors import InputError
from omnihuman.positions import Tables, rotary_of_packed
from omnihuman.precision import compute_by_dtype, edge_dtype, weight_dtype
from omnihuman.wan.checkpoint import EXAMPLE, NAME, open_wan

_I2V_TEXT_TOKENS = 512
# Wan2.1's code computes these in float32 (`autocast(dtype=float32)` around them), and so does a training here.
_EXACT = ("condition_embedder.time_embedder", "condition_embedder.time_proj", "proj_out")
logger = logging.get_logger(__name__)


def _sized(layers: int, heads: int, ffn: int, channels: int) -> dict[str, int]:
    return {"num_layers": layers, "num_attention_heads": heads, "ffn_dim": ffn, "in_channels": channels}


class OmniHumanTransformer3DModel(OmniHumanModel, WanTransformer3DModel):
    """Text, reference, audio and pose on one Wan backbone. The configuration is Wan's own and `OmniHumanModel`'s, and `temporal_stride`: frames of a
    latent but the first, as the autoencoder has them."""

    published: ClassVar[Any] = WanTransformer3DModel
    base_name, example = NAME, EXAMPLE
    edge = "patch_embedding.weight"
    revisions = (
        Revision("Wan2.1-T2V-1.3B", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", _sized(30, 12, 8960, 16), 1.3, 3.0),
        Revision("Wan2.1-T2V-14B", "Wan-AI/Wan2.1-T2V-14B-Diffusers", _sized(40, 40, 13824, 16), 14, 5.0),
        Revision("Wan2.1-I2V-14B", "Wan-AI/Wan2.1-I2V-14B-720P-Diffusers", _sized(40, 40, 13824, 36), 14, 5.0),
        Revision("Wan2.2-TI2V-5B", "Wan-AI/Wan2.2-TI2V-5B-Diffusers", _sized(30, 24, 14336, 48), 5, 5.0),
    )
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "audio_attn.to_out")
    _no_split_modules = ["OmniHumanBlock"]
    _repeated_blocks = ["OmniHumanBlock"]
    _cp_plan = PLAN

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
        temporal_stride: int = 4,
    ) -> None:
        # By keyword: diffusers takes positional values for defaults, and `from_config` would leave them out.
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=0,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        # Wan's constructor records its own call; the configuration that is saved is this one.
        self.register_to_config(num_layers=num_layers)
        dim = num_attention_heads * attention_head_dim
        heard = self.heard_blocks(num_layers)
        self.blocks = nn.ModuleList(
            OmniHumanBlock(
                dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim, i in heard
            )
            for i in range(num_layers)
        )
        self.build_outside()
        self.sequence_entry, self.sequence_exit = SequenceEntry(), SequenceExit()
        compute_by_dtype(self, _EXACT)

    @classmethod
    def sizes(cls, asked: Any) -> dict[str, Any]:
        """Wan's own configuration, as far as a profile says it."""
        return {
            "num_layers": asked.num_layers,
            "num_attention_heads": asked.num_attention_heads,
            "attention_head_dim": asked.attention_head_dim,
            "ffn_dim": asked.ffn_dim,
            "text_dim": asked.text_dim,
            "freq_dim": asked.freq_dim,
            "rope_max_seq_len": asked.rope_max_seq_len,
            "in_channels": asked.latent_channels,
            "out_channels": asked.latent_channels,
        }

    @classmethod
    def open_base(cls, path_or_id: str | Path) -> Checkpoint:
        """Diffusers' or Wan's original layout; see `omnihuman.wan.checkpoint.open_wan`."""
        return open_wan(path_or_id)

    @classmethod
    def from_wan(cls, path_or_id: str | Path, **options: Any) -> Any:
        """`from_base`, by the name that it had when there was one base."""
        return cls.from_base(path_or_id, **options)

    @classmethod
    def inspect_wan(cls, path_or_id: str | Path, **new_parts: Any) -> LoadReport:
        """`inspect_base`."""
        return cls.inspect_base(path_or_id, **new_parts)

    def save_wan(self, folder: str | Path) -> None:
        """`save_base`."""
        self.save_base(folder)

    def build_tables(self) -> None:
        """Wan's rotary tables."""
        config = self.config
        self.rope = WanRotaryPosEmbed(config.attention_head_dim, config.patch_size, config.rope_max_seq_len)

    @property
    def stacked_blocks(self) -> Sequence[nn.Module]:
        """Wan's are all of one kind."""
        return cast(Sequence[nn.Module], self.blocks)

    @property
    def read_out(self) -> Sequence[nn.Module | nn.Parameter]:
        """Projection and its modulation."""
        return self.proj_out, self.scale_shift_table

    def embed_patches(self, latents: Tensor) -> Tensor:
        """Wan's convolution."""
        return self.patch_embedding(latents)

    def enable_parallelism(self, *, config: Any, cp_plan: Any = None) -> None:
        """As diffusers'; context parallelism is Ulysses over the packed sequence (`omnihuman.context_parallel`).

        Raises:
            InputError: the heads do not divide by the ranks, or ring attention is asked for.
        """
        asked = context_parallel(config)
        if asked is not None:
            check_heads(self.config.num_attention_heads, asked)
        super().enable_parallelism(config=config, cp_plan=cp_plan)

    def pack(
        self, hidden_states: Tensor, timestep: Tensor, inputs: ConditionInputs
    ) -> tuple[Tensor, PackedSequence, Tensor]:
        """Embed everything and lay video, motion and reference tokens into one sequence; also the timestep's embedding."""
        # The network's edge: latents are exact until here, times further, into the modulation.
        hidden_states = hidden_states.to(edge_dtype(self.patch_embedding))
        grid = self.grid(hidden_states)
        self.check_conditions(grid[0], timestep, inputs)
        video = self.embed_video(hidden_states, inputs)
        temb, modulation = self._modulation(timestep)
        text = self.condition_embedder.text_embedder(inputs.text.to(hidden_states))
        if inputs.image_tokens is not None:
            embed = self.condition_embedder.image_embedder
            if embed is None:
                raise InputError(
                    "image tokens are given, and this model takes none: it was built without image_dim (Wan I2V has 1280)"
                )
            image = embed(inputs.image_tokens.to(hidden_states))
            text = torch.cat([image, text], dim=1)

        pieces, masks, rotary, unseen = self.packed_pieces(hidden_states, inputs)
        packed_modulation: Tensor | None = None
        if pieces or unseen:
            # Reference and motion tokens are clean, so they are modulated as at timestep 0 (Wan2.2-S2V).
            still = packed_modulation = self._modulation(timestep.new_zeros(len(timestep)))[1]
            video = with_unseen(video, unseen, still)
        tokens, tables = video, self.rope(hidden_states)
        if pieces:
            tokens = torch.cat([video, *pieces], dim=1)
            tables = (
                torch.cat([tables[0], *(r[0] for r in rotary)], dim=1),
                torch.cat([tables[1], *(r[1] for r in rotary)], dim=1),
            )
        shown = shown_tokens([video, *pieces], [None, *masks])
        heard = None if inputs.audio is None else self.audio_projection(inputs.audio.to(hidden_states))
        total, n = tokens.shape[1], video.shape[1]
        tokens, tables, first = self._slice_of_rank(tokens, tables, n)
        if (
            packed_modulation is not None
            and torch.is_grad_enabled()
            and context_parallel(self._parallel_config) is not None
        ):
            # A rank's slice may have tokens of one of the two times alone, and under ZeRO-3 every rank must go back through the same modules.
            tokens = tokens + 0 * (modulation.float().mean() + packed_modulation.float().mean()).to(tokens)
        packed = PackedSequence(
            video_tokens=min(max(n - first, 0), tokens.shape[1]),
            first=first,
            frame_tokens=n // grid[0],
            total=total,
            text=text,
            modulation=modulation,
            packed_modulation=packed_modulation,
            rotary=tables,
            key_mask=None if shown is None else shown[:, None, None, :],
            audio=heard,
            audio_mask=inputs.audio_mask,
        )
        return tokens, packed, temb

    def check_conditions(self, frames: int, timestep: Tensor, inputs: ConditionInputs) -> None:
        """Refuse sizes that would broadcast or be cut in silence, and times that were rounded."""
        super().check_conditions(frames, timestep, inputs)
        if timestep.ndim == 2 and context_parallel(self._parallel_config) is not None:
            raise InputError(
                "times by token are not split over ranks: give (B,) timesteps, or use no context parallelism"
            )
        if inputs.image_tokens is not None and inputs.text.shape[1] != _I2V_TEXT_TOKENS:
            logger.warning_once(
                f"Wan's I2V attention takes the last {_I2V_TEXT_TOKENS} tokens for text and the rest for the image, but there are "
                f"{inputs.text.shape[1]} text tokens: pad the text as Wan's pipeline does"
            )

    def _slice_of_rank(
        self, tokens: Tensor, tables: tuple[Tensor, Tensor], video: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor], int]:
        """This rank's tokens and rotary tables, and the position they begin at; everything and 0 without context parallelism."""
        parallel = context_parallel(self._parallel_config)
        if parallel is None:
            return tokens, tables, 0
        check_tokens(video, tokens.shape[1] - video, parallel)
        # On the CPU, so that reading the first position does not wait for the device.
        positions = torch.arange(tokens.shape[1], device="cpu")
        tokens, cosine, sine, positions = self.sequence_entry(tokens, *tables, positions)
        return tokens, (cosine, sine), int(positions[0])

    def _modulation(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, dim)` and `(B, 6, dim)` of a timestep, as `WanTimeTextImageEmbedding` makes them where weights are in one dtype.

        Of `(B, N)` timesteps, a token's each, `(B, N, dim)` and `(B, N, 6, dim)`.
        """
        embedder = self.condition_embedder
        if timestep.ndim == 2:
            temb, modulation = self._modulation(timestep.flatten())
            return temb.unflatten(0, timestep.shape), modulation.unflatten(0, timestep.shape)
        # Wan's embedder is float32 and its projection may be bfloat16, to which diffusers rounds; where that is float32 nothing is rounded.
        temb = embedder.time_embedder(embedder.timesteps_proj(timestep)).to(weight_dtype(embedder.time_proj))
        return temb, embedder.time_proj(embedder.act_fn(temb)).unflatten(1, (6, -1))

    def packed_tables(self, latents: Tensor, kind: int, video: Tensor) -> Tables:
        """Rotary tables of times, rows and columns that no video token has."""
        return rotary_of_packed(
            self.rope,
            kind,
            self.grid(latents),
            self.grid(video),
            self.config.reference_position,
            self.config.reference_index,
        )

    def unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size, total: int) -> Tensor:
        """Wan's read-out; see the base class."""
        batch, _, frames, height, width = shape
        p_t, p_h, p_w = self.config.patch_size
        rows, columns = height // p_h, width // p_w
        video = frames // p_t * rows * columns
        parallel = context_parallel(self._parallel_config)
        # A rank's slice is projected whole and cut after joining: behind the joint no weight may stand.
        tokens = tokens if parallel else front(tokens, video)
        table = self.scale_shift_table.to(temb.device)
        if temb.ndim == 3:  # a time for each token
            shift, scale = (part.squeeze(2) for part in (table.unsqueeze(0) + temb.unsqueeze(2)).chunk(2, dim=2))
        else:
            shift, scale = (table + temb.unsqueeze(1)).chunk(2, dim=1)
        tokens = self.proj_out(self.norm_out(tokens.float()) * (1 + scale) + shift)
        if parallel:
            tokens = front(join_slices(self.sequence_exit, tokens, total, parallel.ulysses_degree or 1), video)
        grid = tokens.reshape(batch, frames // p_t, rows, columns, p_t, p_h, p_w, -1)
        return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
