"""Every base small: published settings, cut in depth and width only, and what its bare model is called with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omnihuman.bases.registry import base_named

NEW = {"audio_dim": 8, "audio_layers": 3, "audio_window": 0, "pose_keypoints": 4, "pose_channels": 4}
BATCH, LATENTS, HEIGHT, WIDTH = 2, 3, 4, 4


@dataclass(frozen=True)
class Small:
    """A base cut down.

    Attributes:
        sizes: of diffusers' class; everything else is its published default.
        own: what of ours is beside `NEW`.
        frames: latent frames.
        channels: of latents.
        rows: of text, and how many numbers each has.
        bare: what the bare model is called with, of latents, timestep and text.
    """

    architecture: str
    sizes: Mapping[str, Any]
    rows: tuple[int, int]
    bare: Callable[[Tensor, Tensor, Tensor], dict[str, Any]]
    own: Mapping[str, Any]
    frames: int = LATENTS
    channels: int = 16
    patch: int = 2

    def save(self, folder: Any) -> Any:
        """Diffusers' own small random model, in its published layout; returns it."""
        torch.manual_seed(0)
        model = base_named(self.architecture).load().published(**self.sizes)
        for parameter in model.parameters():  # published blocks begin with gates of no size nowhere
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.05)
        model.save_pretrained(folder)
        return model.eval()

    def inputs(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, times that bfloat16 holds, and text whose last rows are zeros."""
        generator = torch.Generator().manual_seed(1)
        latents = torch.randn(BATCH, self.channels, self.frames, HEIGHT, WIDTH, generator=generator)
        text = torch.randn(BATCH, *self.rows, generator=generator)
        text[1, -2:] = 0
        return latents.to(dtype), torch.tensor([100.0, 896.0]), text.to(dtype)

    def conditions(self) -> dict[str, Tensor]:
        """All four, random."""
        generator = torch.Generator().manual_seed(2)

        def randn(*shape: int) -> Tensor:
            return torch.randn(BATCH, *shape, generator=generator)

        seen, c = 4 * self.frames - 3, self.channels
        given = {
            "audio": randn(seen, 3, 8),
            "pose": randn(4, seen, 4 * HEIGHT, 4 * WIDTH).abs(),
            "reference": randn(c, 1, HEIGHT, WIDTH),
        }
        return given | ({"motion": randn(c, 2, HEIGHT, WIDTH)} if self.frames > 1 else {})


def _wan(latents: Tensor, timestep: Tensor, text: Tensor) -> dict[str, Any]:
    return {"hidden_states": latents, "timestep": timestep, "encoder_hidden_states": text}


def _hunyuan(latents: Tensor, timestep: Tensor, text: Tensor) -> dict[str, Any]:
    rows = text[:, 1:]
    return {
        "hidden_states": latents,
        "timestep": timestep,
        "encoder_hidden_states": rows,
        "encoder_attention_mask": (rows != 0).any(-1).long(),
        "pooled_projections": text[:, 0, :16],
        "guidance": torch.full((len(latents),), 6000.0),
    }


def _hunyuan15(latents: Tensor, timestep: Tensor, text: Tensor) -> dict[str, Any]:
    batch = len(latents)
    return {
        "hidden_states": torch.cat([latents, latents.new_zeros(batch, 9, *latents.shape[2:])], dim=1),
        "timestep": timestep,
        "encoder_hidden_states": text,
        "encoder_attention_mask": (text != 0).any(-1).long(),
        "encoder_hidden_states_2": latents.new_zeros(batch, 0, 12),
        "encoder_attention_mask_2": torch.zeros(batch, 0, dtype=torch.long),
        "image_embeds": latents.new_zeros(batch, 0, 20),
    }


def _sd3(latents: Tensor, timestep: Tensor, text: Tensor) -> dict[str, Any]:
    return {
        "hidden_states": latents[:, :, 0],
        "timestep": timestep,
        "encoder_hidden_states": text[:, 1:],
        "pooled_projections": text[:, 0, :16],
    }


SMALL = {
    "wan2.1": Small(
        "wan",
        {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 3},
        (5, 32),
        _wan,
        {},
    ),
    "wan2.2-ti2v": Small(
        "wan",
        {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 3,
         "in_channels": 48, "out_channels": 48},
        (5, 32),
        _wan,
        {},
        channels=48,
    ),
    "hunyuan_video": Small(
        "hunyuan_video",
        {"num_attention_heads": 2, "attention_head_dim": 32, "rope_axes_dim": (4, 14, 14), "num_layers": 2, "num_single_layers": 2,
         "num_refiner_layers": 1, "text_embed_dim": 24, "pooled_projection_dim": 16},
        (6, 24),
        _hunyuan,
        {"pooled_text": True},
    ),
    "hunyuan_video15": Small(
        "hunyuan_video15",
        {"in_channels": 17, "out_channels": 8, "num_attention_heads": 2, "attention_head_dim": 32, "rope_axes_dim": (4, 14, 14), "num_layers": 3,
         "num_refiner_layers": 1, "text_embed_dim": 24, "text_embed_2_dim": 12, "image_embed_dim": 20},
        (6, 24),
        _hunyuan15,
        {},
        channels=8,
        patch=1,
    ),
    "stable_diffusion3": Small(
        "stable_diffusion3",
        {"sample_size": 8, "num_layers": 3, "attention_head_dim": 32, "num_attention_heads": 2, "joint_attention_dim": 24, "caption_projection_dim": 64,
         "pooled_projection_dim": 16, "pos_embed_max_size": 12, "dual_attention_layers": (0, 1), "qk_norm": "rms_norm"},
        (6, 24),
        _sd3,
        {"pooled_text": True},
        frames=1,
    ),
}  # fmt: skip
