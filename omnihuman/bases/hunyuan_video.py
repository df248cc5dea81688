"""OmniHuman around HunyuanVideo's MMDiT (arXiv 2412.03603 section 4.2): blocks of two streams, then blocks of one.

A row of text is a state of its language model, and rows past the text are zeros. With `pooled_text` the first row holds CLIP's vector of the whole
prompt in its first numbers; without it the model is given zeros there.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch

# diffusers looks for ModelMixin in the module that a pipeline's model_index.json names.
from diffusers import ModelMixin as ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.models.transformers.transformer_hunyuan_video import (
    HunyuanVideoSingleTransformerBlock,
    HunyuanVideoTransformer3DModel,
    HunyuanVideoTransformerBlock,
)
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.bases.backbone import Revision
from omnihuman.bases.checkpoint import Checkpoint, CheckpointError
from omnihuman.bases.joint import DualStreamBlock, SingleStreamBlock
from omnihuman.bases.mmdit import JoinedText, MMDiT, rows_shown
from omnihuman.positions import Tables, places_of_packed
from omnihuman.precision import compute_by_dtype, weight_dtype

# Times are small differences; the rest is in the dtype of its neighbours, as it was published.
_EXACT = ("time_text_embed", "proj_out")


class OmniHumanDualStreamBlock(DualStreamBlock, HunyuanVideoTransformerBlock):
    """HunyuanVideo's block of two streams, hearing."""


class OmniHumanSingleStreamBlock(SingleStreamBlock, HunyuanVideoSingleTransformerBlock):
    """HunyuanVideo's block of one stream, hearing."""


class HunyuanMMDiT(MMDiT):
    """What HunyuanVideo and HunyuanVideo-1.5 share: patches, a language model's rows, and rotation of time, rows and columns."""

    x_embedder: Any
    context_embedder: Any
    rope: Any

    @classmethod
    def text_width(cls, config: Mapping[str, Any]) -> int:
        """Numbers in a row of text."""
        return config["text_embed_dim"]

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a token."""
        return self.config.patch_size_t, self.config.patch_size, self.config.patch_size

    @property
    def patch_convolution(self) -> nn.Module:
        """Of the patch embedding."""
        return self.x_embedder.proj

    def embed_patches(self, latents: Tensor) -> Tensor:
        """The family's convolution."""
        return self.x_embedder.proj(latents)

    def video_tables(self, latents: Tensor) -> Tables:
        """HunyuanVideo's."""
        return self.rope(latents)

    def packed_tables(self, latents: Tensor, kind: int, video: Tensor) -> Tables:
        """HunyuanVideo's at times, rows and columns that no video token has."""
        config = self.config
        places = places_of_packed(
            kind, self.grid(latents), self.grid(video), config.reference_position, config.reference_index
        )
        return rotary_by_axes(places, config.rope_axes_dim, config.rope_theta, latents.device)


class OmniHumanHunyuanVideoTransformer3DModel(HunyuanMMDiT, HunyuanVideoTransformer3DModel):
    """Text, reference, audio and pose on HunyuanVideo. The configuration is HunyuanVideo's own, `OmniHumanModel`'s, and

    Args:
        pooled_text: whether text has a row of CLIP's in front.
        embedded_guidance: the guidance scale that a model with `guidance_embeds` is told (diffusers' pipeline: 6).
    """

    published: ClassVar[Any] = HunyuanVideoTransformer3DModel
    base_name, example = "HunyuanVideo", "hunyuanvideo-community/HunyuanVideo"
    edge = "x_embedder.proj.weight"
    texts, rows_beside = 2, 1
    kinds = ("num_layers", "num_single_layers")
    revisions = (
        Revision(
            "HunyuanVideo",
            "hunyuanvideo-community/HunyuanVideo",
            {"num_layers": 20, "num_single_layers": 40, "num_attention_heads": 24, "in_channels": 16},
            13,
            7.0,
        ),
    )
    single_transformer_blocks: Any
    time_text_embed: Any
    _no_split_modules = ["OmniHumanDualStreamBlock", "OmniHumanSingleStreamBlock", "HunyuanVideoTokenRefiner"]
    _repeated_blocks = ["OmniHumanDualStreamBlock", "OmniHumanSingleStreamBlock"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 16,
        out_channels: int = 16,
        num_attention_heads: int = 24,
        attention_head_dim: int = 128,
        num_layers: int = 20,
        num_single_layers: int = 40,
        num_refiner_layers: int = 2,
        mlp_ratio: float = 4.0,
        patch_size: int = 2,
        patch_size_t: int = 1,
        qk_norm: str = "rms_norm",
        guidance_embeds: bool = True,
        text_embed_dim: int = 4096,
        pooled_projection_dim: int = 768,
        rope_theta: float = 256.0,
        rope_axes_dim: tuple[int, ...] = (16, 56, 56),
        image_condition_type: str | None = None,
        audio_dim: int = 768,
        audio_layers: int = 13,
        audio_window: int = 1,
        audio_blocks: tuple[int, ...] | None = None,
        pose_keypoints: int = 133,
        pose_channels: int = 16,
        reference_position: str = "zero",
        reference_index: int = 30,
        pooled_text: bool = False,
        embedded_guidance: float = 6.0,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            num_layers=num_layers,
            num_single_layers=num_single_layers,
            num_refiner_layers=num_refiner_layers,
            mlp_ratio=mlp_ratio,
            patch_size=patch_size,
            patch_size_t=patch_size_t,
            qk_norm=qk_norm,
            guidance_embeds=guidance_embeds,
            text_embed_dim=text_embed_dim,
            pooled_projection_dim=pooled_projection_dim,
            rope_theta=rope_theta,
            rope_axes_dim=rope_axes_dim,
            image_condition_type=image_condition_type,
        )
        for block in self.transformer_blocks:
            block.__class__ = OmniHumanDualStreamBlock
        for block in self.single_transformer_blocks:
            block.__class__ = OmniHumanSingleStreamBlock
        self.build_new_parts()
        compute_by_dtype(self, _EXACT)

    @classmethod
    def open_base(cls, path_or_id: str | Path) -> Checkpoint:
        """As of every base; those that were trained to continue an image have other inputs and are refused."""
        checkpoint = super().open_base(path_or_id)
        kind = checkpoint.config.get("image_condition_type")
        if kind is not None:
            raise CheckpointError(
                f"{checkpoint.source} is HunyuanVideo's image-to-video model (image_condition_type {kind!r}); take text-to-video's, {cls.example}"
            )
        return checkpoint

    @classmethod
    def sizes(cls, asked: Any) -> dict[str, Any]:
        """As far as a profile says it."""
        width = asked.num_attention_heads * asked.attention_head_dim
        return {
            "num_layers": asked.num_layers,
            "num_single_layers": asked.num_single_layers,
            "num_attention_heads": asked.num_attention_heads,
            "attention_head_dim": asked.attention_head_dim,
            "mlp_ratio": asked.ffn_dim / width,
            "text_embed_dim": asked.text_dim,
            "in_channels": asked.latent_channels,
            "out_channels": asked.latent_channels,
        }

    @classmethod
    def unsaid(cls, asked: Any) -> dict[str, Any]:
        """A head's rotary parts in the published proportions, and no guidance inside: nothing has distilled it."""
        return {"rope_axes_dim": rotary_axes(asked.attention_head_dim), "guidance_embeds": False}

    @classmethod
    def of_texts(cls, texts: int) -> dict[str, Any]:
        """CLIP's row where CLIP is named beside LLaMA."""
        return super().of_texts(texts) | {"pooled_text": texts > 1}

    @property
    def stacked_blocks(self) -> Sequence[nn.Module]:
        """Two streams, then one."""
        return list(chain(self.transformer_blocks, self.single_transformer_blocks))

    def join_text(self, rows: Tensor, timestep: Tensor) -> JoinedText:
        """Refine the language model's states, which the time is told to; take CLIP's row off."""
        rows, pooled = self.without_pooled(rows)
        shown = rows_shown(rows)
        return JoinedText(self.context_embedder(rows, timestep, shown), shown, pooled)

    def embed_time(self, timestep: Tensor, pooled: Tensor | None) -> Tensor:
        """Time, pooled text and, of a model that was distilled with it, the guidance scale."""
        assert pooled is not None
        guidance = None
        if self.config.guidance_embeds:
            guidance = torch.full_like(timestep, 1000 * self.config.embedded_guidance, dtype=torch.float32)
        exact = pooled.to(weight_dtype(self.time_text_embed))
        return self.time_text_embed(timestep, exact, guidance)[0]

    def key_mask(self, seen: Tensor | None, text: JoinedText, batch: int, total: int) -> Tensor:
        """`(B, 1, 1, N + L)`."""
        assert text.shown is not None
        if seen is None:
            return F.pad(text.shown, (total, 0), value=True)[:, None, None]
        return torch.cat([seen, text.shown], dim=1)[:, None, None]


def rotary_axes(head_dim: int) -> tuple[int, int, int]:
    """Numbers of a head that time, rows and columns turn: 16, 56, 56 of 128."""
    across = 2 * ((head_dim - head_dim // 8) // 4)
    return head_dim - 2 * across, across, across


def rotary_by_axes(
    places: tuple[range | list[int], range, range], axes: Sequence[int], theta: float, device: torch.device
) -> Tables:
    """Cosine and sine `(N, head_dim)` at any whole times, rows and columns, as HunyuanVideo makes them."""
    along = [torch.tensor(list(place), dtype=torch.float32, device=device) for place in places]
    grid = torch.meshgrid(*along, indexing="ij")
    parts = [
        get_1d_rotary_pos_embed(width, axis.reshape(-1), theta, use_real=True)
        for width, axis in zip(axes, grid, strict=True)
    ]
    return torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts], dim=1)
