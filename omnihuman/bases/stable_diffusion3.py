"""OmniHuman around Stable Diffusion 3.5's MMDiT (arXiv 2403.03206; medium's is MMDiT-X): an image model.

It takes one latent frame: it trains with text, reference, audio and pose of images, and the adversarial phase of images; videos are refused. Medium
has 24 blocks as published, of which the first 13 have a second attention of image tokens alone. A row of text is a state of its encoders side by
side; with `pooled_text` the first row holds CLIP's vectors of the whole prompt in its first numbers, without it the model is given zeros there.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

# diffusers looks for ModelMixin in the module that a pipeline's model_index.json names.
from diffusers import ModelMixin as ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import JointTransformerBlock
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.bases.backbone import Revision
from omnihuman.bases.joint import DualStreamBlock
from omnihuman.bases.mmdit import JoinedText, MMDiT
from omnihuman.bases.model import front
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.text_of_bases import CLIP_TOKENS
from omnihuman.errors import InputError
from omnihuman.precision import compute_by_dtype, weight_dtype

_EXACT = ("time_text_embed", "proj_out")
# Medium's blocks with a second attention.
_SECOND = 13


class MaskedJointAttention:
    """Attention of image and text together, or of the image alone, with a mask of keys: diffusers' own of SD3 takes none."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: None = None,
    ) -> Any:
        """`(B, N, dim)` and `(B, L, dim)` to the same; of the image alone one tensor. `attention_mask` is `(B, 1, 1, N + L)` bool or None."""

        def heads(x: Tensor, norm: Any) -> Tensor:
            split = x.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            return split if norm is None else norm(split)

        count = hidden_states.shape[1]
        query, key = heads(attn.to_q(hidden_states), attn.norm_q), heads(attn.to_k(hidden_states), attn.norm_k)
        value = heads(attn.to_v(hidden_states), None)
        if encoder_hidden_states is not None:
            text = encoder_hidden_states
            query, key, value = (
                torch.cat([query, heads(attn.add_q_proj(text), attn.norm_added_q)], dim=2),
                torch.cat([key, heads(attn.add_k_proj(text), attn.norm_added_k)], dim=2),
                torch.cat([value, heads(attn.add_v_proj(text), None)], dim=2),
            )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        mixed = mixed.transpose(1, 2).flatten(2, 3).to(query.dtype)
        own = attn.to_out[1](attn.to_out[0](mixed[:, :count]))
        if encoder_hidden_states is None:
            return own
        rest = mixed[:, count:]
        return own, rest if attn.context_pre_only else attn.to_add_out(rest)


class OmniHumanJointBlock(DualStreamBlock, JointTransformerBlock):
    """SD3's block, hearing."""


class OmniHumanSD3Transformer2DModel(MMDiT, SD3Transformer2DModel):
    """Text, reference, audio and pose on Stable Diffusion 3.5. The configuration is its own, `OmniHumanModel`'s, and

    Args:
        pooled_text: whether text has a row of CLIP's in front.
    """

    published: ClassVar[Any] = SD3Transformer2DModel
    base_name, example = "Stable Diffusion 3.5", "stabilityai/stable-diffusion-3.5-medium"
    edge = "pos_embed.proj.weight"
    takes_video = False
    texts, rows_beside = 3, 1 + CLIP_TOKENS
    kinds = ()
    revisions = (
        Revision(
            "Stable Diffusion 3.5 medium",
            "stabilityai/stable-diffusion-3.5-medium",
            {"num_layers": 24, "num_attention_heads": 24},
            2.5,
            3.0,
        ),
    )
    pos_embed: Any
    context_embedder: Any
    time_text_embed: Any
    _no_split_modules = ["OmniHumanJointBlock"]
    _repeated_blocks = ["OmniHumanJointBlock"]

    @register_to_config
    def __init__(
        self,
        sample_size: int = 128,
        patch_size: int = 2,
        in_channels: int = 16,
        num_layers: int = 24,
        attention_head_dim: int = 64,
        num_attention_heads: int = 24,
        joint_attention_dim: int = 4096,
        caption_projection_dim: int = 1536,
        pooled_projection_dim: int = 2048,
        out_channels: int = 16,
        pos_embed_max_size: int = 384,
        dual_attention_layers: tuple[int, ...] = tuple(range(_SECOND)),
        qk_norm: str | None = "rms_norm",
        audio_dim: int = 768,
        audio_layers: int = 13,
        audio_window: int = 1,
        audio_blocks: tuple[int, ...] | None = None,
        pose_keypoints: int = 133,
        pose_channels: int = 16,
        reference_position: str = "zero",
        reference_index: int = 30,
        pooled_text: bool = False,
    ) -> None:
        super().__init__(
            sample_size=sample_size,
            patch_size=patch_size,
            in_channels=in_channels,
            num_layers=num_layers,
            attention_head_dim=attention_head_dim,
            num_attention_heads=num_attention_heads,
            joint_attention_dim=joint_attention_dim,
            caption_projection_dim=caption_projection_dim,
            pooled_projection_dim=pooled_projection_dim,
            out_channels=out_channels,
            pos_embed_max_size=pos_embed_max_size,
            dual_attention_layers=dual_attention_layers,
            qk_norm=qk_norm,
        )
        for block in self.transformer_blocks:
            block.__class__ = OmniHumanJointBlock
            for attention in (block.attn, block.attn2):
                if attention is not None:
                    attention.set_processor(MaskedJointAttention())
        self.build_new_parts()
        compute_by_dtype(self, _EXACT)

    @classmethod
    def sizes(cls, asked: Any) -> dict[str, Any]:
        """As far as a profile says it; a feed-forward is always four times as wide."""
        width = asked.num_attention_heads * asked.attention_head_dim
        return {
            "num_layers": asked.num_layers,
            "num_attention_heads": asked.num_attention_heads,
            "attention_head_dim": asked.attention_head_dim,
            "joint_attention_dim": asked.text_dim,
            "caption_projection_dim": width,
            "in_channels": asked.latent_channels,
            "out_channels": asked.latent_channels,
        }

    @classmethod
    def unsaid(cls, asked: Any) -> dict[str, Any]:
        """A second attention in as many blocks as medium has, as far as there are."""
        return {"dual_attention_layers": tuple(range(min(_SECOND, asked.num_layers)))}

    @classmethod
    def of_texts(cls, texts: int) -> dict[str, Any]:
        """The row of CLIP's vectors where both CLIPs and T5 are named."""
        return super().of_texts(texts) | {"pooled_text": texts > 1}

    @classmethod
    def text_width(cls, config: Mapping[str, Any]) -> int:
        """Numbers in a row of text."""
        return config["joint_attention_dim"]

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a token."""
        return 1, self.config.patch_size, self.config.patch_size

    @property
    def patch_convolution(self) -> nn.Module:
        """Of the patch embedding."""
        return self.pos_embed.proj

    def check_conditions(self, frames: int, timestep: Tensor, inputs: ConditionInputs) -> None:
        """As of every base; an image has no past."""
        super().check_conditions(frames, timestep, inputs)
        if inputs.motion is not None:
            raise InputError(
                f"{type(self).__name__} is an image model, and an image has no frames before it: leave motion out"
            )

    def embed_patches(self, latents: Tensor) -> Tensor:
        """SD3's convolution of each image by itself."""
        images = self.pos_embed.proj(latents.transpose(1, 2).flatten(0, 1))
        return images.unflatten(0, (len(latents), -1)).transpose(1, 2)

    def embed_video(self, hidden_states: Tensor, inputs: ConditionInputs) -> Tensor:
        """`(B, N, dim)` with positions added, of which SD3 has a table."""
        tokens = super().embed_video(hidden_states, inputs)
        return (tokens + self.pos_embed.cropped_pos_embed(*hidden_states.shape[-2:])).to(tokens.dtype)

    def placed(self, embedded: Tensor, latents: Tensor, kind: int, video: Tensor) -> Tensor:
        """Reference tokens at columns right of the image's.

        Raises:
            InputError: the table ends before.
        """
        size = self.pos_embed.pos_embed_max_size
        (count, rows, columns), (_, high, wide) = self.grid(latents), self.grid(video)
        top, left = (size - high) // 2, (size - wide) // 2 + wide
        if left + columns > size or top + rows > size:
            raise InputError(
                f"a reference beside an image of {high} x {wide} tokens needs a table of positions of {2 * (left + columns) - size} tokens, and this "
                f"model's has {size} (pos_embed_max_size): take smaller images"
            )
        table = self.pos_embed.pos_embed.unflatten(1, (size, size))[:, top : top + rows, left : left + columns]
        return embedded + table.flatten(1, 2).repeat(1, count, 1).to(embedded)

    def packed_tables(self, latents: Tensor, kind: int, video: Tensor) -> None:
        """None: positions are added."""
        return

    def video_tables(self, latents: Tensor) -> None:
        """None: positions are added."""
        return

    def join_text(self, rows: Tensor, timestep: Tensor) -> JoinedText:
        """Bring the encoders' states to the model's width; take CLIP's row off."""
        rows, pooled = self.without_pooled(rows)
        return JoinedText(self.context_embedder(rows), None, pooled)

    def embed_time(self, timestep: Tensor, pooled: Tensor | None) -> Tensor:
        """Time and pooled text."""
        assert pooled is not None
        return self.time_text_embed(timestep, pooled.to(weight_dtype(self.time_text_embed)))

    def key_mask(self, seen: Tensor | None, text: JoinedText, batch: int, total: int) -> Tensor | None:
        """`(B, 1, 1, N + L)` where something is hidden."""
        return None if seen is None else F.pad(seen, (0, text.tokens.shape[1]), value=True)[:, None, None]

    def unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size, total: int) -> Tensor:
        """Read the velocity out of the image's tokens: channels last within a patch."""
        batch, _, frames, height, width = shape
        size = self.config.patch_size
        rows, columns = height // size, width // size
        out = self.proj_out(self.norm_out(front(tokens, rows * columns), temb))
        grid = out.reshape(batch, rows, columns, size, size, -1).permute(0, 5, 1, 3, 2, 4)
        return grid.reshape(batch, -1, frames, height, width)
