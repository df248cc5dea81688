"""OmniHuman around HunyuanVideo-1.5's MMDiT: blocks of two streams alone, 32 latent channels at stride 16, tokens of one cell.

A row of text is a state of its language model (Qwen2.5-VL), and rows past the text are zeros. With `glyph_rows` as many of the last rows hold, in their
first numbers, ByT5's states of letters that are to be drawn; without, it is given none, as of a prompt without quotes. An image to continue OmniHuman
does not give it: the reference goes the way of every base's, and the 33 channels of the image are zeros.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

# diffusers looks for ModelMixin in the module that a pipeline's model_index.json names.
from diffusers import ModelMixin as ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15Transformer3DModel,
    HunyuanVideo15TransformerBlock,
)
from torch import Tensor, nn

from omnihuman.bases.backbone import Revision
from omnihuman.bases.checkpoint import Checkpoint, CheckpointError
from omnihuman.bases.hunyuan_video import HunyuanMMDiT, rotary_axes
from omnihuman.bases.joint import DualStreamBlock
from omnihuman.bases.mmdit import JoinedText, of_width, rows_shown
from omnihuman.conditions.text_of_bases import GLYPH_ROWS
from omnihuman.precision import compute_by_dtype, weight_dtype

_EXACT = ("time_embed", "proj_out")


class OmniHumanDualStream15Block(DualStreamBlock, HunyuanVideo15TransformerBlock):
    """HunyuanVideo-1.5's block, hearing."""


class OmniHumanHunyuanVideo15Transformer3DModel(HunyuanMMDiT, HunyuanVideo15Transformer3DModel):
    """Text, reference, audio and pose on HunyuanVideo-1.5. The configuration is its own, `OmniHumanModel`'s, and

    Args:
        glyph_rows: how many rows at the end of text are ByT5's.
    """

    published: ClassVar[Any] = HunyuanVideo15Transformer3DModel
    base_name, example = "HunyuanVideo-1.5", "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v"
    edge = "x_embedder.proj.weight"
    texts, rows_beside = 2, GLYPH_ROWS
    revisions = (
        Revision(
            "HunyuanVideo-1.5",
            "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v",
            {"num_layers": 54, "num_attention_heads": 16, "in_channels": 65},
            8.3,
            5.0,
        ),
    )
    context_embedder_2: Any
    image_embedder: Any
    time_embed: Any
    cond_type_embed: Any
    _no_split_modules = ["OmniHumanDualStream15Block", "HunyuanVideo15TokenRefiner"]
    _repeated_blocks = ["OmniHumanDualStream15Block"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 65,
        out_channels: int = 32,
        num_attention_heads: int = 16,
        attention_head_dim: int = 128,
        num_layers: int = 54,
        num_refiner_layers: int = 2,
        mlp_ratio: float = 4.0,
        patch_size: int = 1,
        patch_size_t: int = 1,
        qk_norm: str = "rms_norm",
        text_embed_dim: int = 3584,
        text_embed_2_dim: int = 1472,
        image_embed_dim: int = 1152,
        rope_theta: float = 256.0,
        rope_axes_dim: tuple[int, ...] = (16, 56, 56),
        target_size: int = 640,
        task_type: str = "t2v",
        use_meanflow: bool = False,
        audio_dim: int = 768,
        audio_layers: int = 13,
        audio_window: int = 1,
        audio_blocks: tuple[int, ...] | None = None,
        pose_keypoints: int = 133,
        pose_channels: int = 16,
        reference_position: str = "zero",
        reference_index: int = 30,
        glyph_rows: int = 0,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            num_layers=num_layers,
            num_refiner_layers=num_refiner_layers,
            mlp_ratio=mlp_ratio,
            patch_size=patch_size,
            patch_size_t=patch_size_t,
            qk_norm=qk_norm,
            text_embed_dim=text_embed_dim,
            text_embed_2_dim=text_embed_2_dim,
            image_embed_dim=image_embed_dim,
            rope_theta=rope_theta,
            rope_axes_dim=rope_axes_dim,
            target_size=target_size,
            task_type=task_type,
            use_meanflow=use_meanflow,
        )
        for block in self.transformer_blocks:
            block.__class__ = OmniHumanDualStream15Block
        self.build_new_parts()
        for part in self._unread:
            part.requires_grad_(False)
        compute_by_dtype(self, _EXACT)

    @classmethod
    def open_base(cls, path_or_id: str | Path) -> Checkpoint:
        """As of every base; the model that enlarges videos takes a second time and is refused."""
        checkpoint = super().open_base(path_or_id)
        if checkpoint.config.get("use_meanflow"):
            raise CheckpointError(
                f"{checkpoint.source} takes two times (use_meanflow), as the models do that enlarge videos or jump; take {cls.example}"
            )
        return checkpoint

    @classmethod
    def sizes(cls, asked: Any) -> dict[str, Any]:
        """As far as a profile says it."""
        return {
            "num_layers": asked.num_layers,
            "num_attention_heads": asked.num_attention_heads,
            "attention_head_dim": asked.attention_head_dim,
            "mlp_ratio": asked.ffn_dim / (asked.num_attention_heads * asked.attention_head_dim),
            "text_embed_dim": asked.text_dim,
            "in_channels": 2 * asked.latent_channels + 1,
            "out_channels": asked.latent_channels,
        }

    @classmethod
    def unsaid(cls, asked: Any) -> dict[str, Any]:
        """A head's rotary parts in the published proportions."""
        return {"rope_axes_dim": rotary_axes(asked.attention_head_dim)}

    @classmethod
    def of_texts(cls, texts: int) -> dict[str, Any]:
        """ByT5's rows where ByT5 is named beside Qwen2.5-VL."""
        return super().of_texts(texts) | {"glyph_rows": GLYPH_ROWS if texts > 1 else 0}

    @property
    def read_out(self) -> Sequence[nn.Module | nn.Parameter]:
        """Projection and its modulation, and what no token is made with."""
        return *super().read_out, *self._unread

    @property
    def _unread(self) -> Sequence[nn.Module]:
        """Embedders of what is not given, and what the last block makes of text."""
        last: Any = self.transformer_blocks[-1]
        letters = () if self.config.glyph_rows else (self.context_embedder_2,)
        return self.image_embedder, *letters, last.attn.to_add_out, last.ff_context

    def join_text(self, rows: Tensor, timestep: Tensor) -> JoinedText:
        """Refine the language model's states, which the time is told to, behind letters to draw; what is past either is nothing."""
        words, letters = rows.tensor_split([rows.shape[1] - self.config.glyph_rows], dim=1)
        shown = rows_shown(words)
        typed = self._typed(self.context_embedder(words, timestep, shown), shown, 0)
        if self.config.glyph_rows:
            drawn = (letters != 0).any(dim=-1)
            embedded = self.context_embedder_2(of_width(letters, self.config.text_embed_2_dim))
            typed = torch.cat([self._typed(embedded, drawn, 1), typed], dim=1)
            shown = torch.cat([drawn, shown], dim=1)
            said_first = torch.argsort(~shown, dim=1, stable=True)  # in the published model's order
            typed = typed.gather(1, said_first[..., None].expand_as(typed))
            shown = shown.gather(1, said_first)
        return JoinedText(typed, shown, None)

    def _typed(self, embedded: Tensor, shown: Tensor, kind: int) -> Tensor:
        """With what tells one encoder's rows from the other's, and zeros where nothing is said."""
        typed = embedded + self.cond_type_embed(torch.full_like(shown, kind, dtype=torch.long))
        return torch.where(shown[..., None], typed, torch.zeros_like(typed))

    def embed_time(self, timestep: Tensor, pooled: Tensor | None) -> Tensor:
        """The time alone."""
        embed = self.time_embed
        return embed.timestep_embedder(embed.time_proj(timestep).to(weight_dtype(embed.timestep_embedder)))

    def key_mask(self, seen: Tensor | None, text: JoinedText, batch: int, total: int) -> Tensor:
        """`(B, L)` of text, or `(B, N + L)`: its attention takes what is not said for seen."""
        assert text.shown is not None
        return text.shown if seen is None else torch.cat([seen, text.shown], dim=1)
