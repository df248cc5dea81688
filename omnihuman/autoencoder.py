"""The autoencoder of a base: diffusers' own classes, normalised latents, and Wan's maths at CPU speed.

A causal autoencoder maps frame 0 to latent 0 and frames 4k-3..4k to latent k. Channels and spatial stride are its configuration's: 16 and 8 of
Wan2.1 and HunyuanVideo, 48 and 16 of Wan2.2-TI2V-5B, 32 and 16 of HunyuanVideo-1.5, 16 and 8 of Stable Diffusion 3.5, whose pictures have one frame.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanRMS_norm
from torch import Tensor, nn
from torch.nn import functional as F

from media.weights import fill, load_network
from omnihuman.deferred_imports import deferring
from omnihuman.digests import forget_source
from omnihuman.errors import InputError, MissingWeights, reading_weights
from omnihuman.placement import computes_in_bfloat16, execution_device
from profiles import Profile

# diffusers' classes, by what a folder's config.json calls them.
CLASSES = ("AutoencoderKLWan", "AutoencoderKLHunyuanVideo", "AutoencoderKLHunyuanVideo15", "AutoencoderKL")
Network = TypeVar("Network", bound=nn.Module)
AUTOENCODER_REMEDY = "download the `vae` folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers again, or put the config.json there that belongs to the file"
LAPTOP_CONFIG = {
    "base_dim": 24,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "patch_size": 2,
    "in_channels": 12,
    "out_channels": 12,
    "temperal_downsample": [True, True],
    "z_dim": 16,
}


class RsqrtRMSNorm(WanRMS_norm):
    """`WanRMS_norm` as x * rsqrt(sum x^2) * gamma: on CPU the stock `F.normalize` is the largest cost of a step."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out, normalised over channels."""
        dim = 1 if self.channel_first else -1
        inverse = torch.rsqrt(x.float().square().sum(dim=dim, keepdim=True).clamp_min(1e-24)).to(x.dtype)
        normal = x * inverse * (self.scale * self.gamma).to(x.dtype)
        return normal + self.bias if isinstance(self.bias, Tensor) else normal


class ThriftyCausalConv3d(WanCausalConv3d):
    """`WanCausalConv3d` without what its padding costs: a frame with none before it is convolved in space alone, and space is padded by the convolution."""

    def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        """Same values as the stock layer's."""
        before, space = self._padding[4], (self._padding[2], self._padding[0])
        if cache_x is None and x.shape[2] == 1 and before == self.kernel_size[0] - 1:
            return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, self.stride[1:], space)[:, :, None]
        if cache_x is not None and before:
            x = torch.cat([cache_x.to(x), x], dim=2)
            before -= cache_x.shape[2]
        if before:
            x = F.pad(x, (0, 0, 0, 0, before, 0))
        return F.conv3d(x, self.weight, self.bias, self.stride, (0, *space))


def use_fast_layers(autoencoder: Network) -> Network:
    """Swap Wan's norms and causal convolutions for quicker ones of the same values, in place; parameters and their names stay."""
    for module in autoencoder.modules():
        if type(module) is WanRMS_norm:
            module.__class__ = RsqrtRMSNorm
        elif type(module) is WanCausalConv3d:
            module.__class__ = ThriftyCausalConv3d
    return autoencoder


def inference_dtype() -> torch.dtype:
    """Give bfloat16 where an accelerator or this processor gains by it, else float32.

    A processor without instructions for bfloat16 imitates it: a 64-pixel window takes 6.0 s of a core instead of 0.2 s.
    """
    return torch.bfloat16 if computes_in_bfloat16() else torch.float32


@deferring()
def load_autoencoder(path: str | Path, dtype: torch.dtype | None = None) -> Any:
    """Load from a diffusers folder or hub id, ready for inference in `dtype`, by default `inference_dtype()`.

    Raises:
        MissingWeights: a local folder that does not exist, with the command that makes or fetches it.
        InputError: another kind of network; those that can be loaded are listed.
        WrongWeights: not this network's weights, whole.
    """
    if str(path).startswith((".", "/")) and not Path(path).is_dir():
        raise MissingWeights(
            f"no autoencoder at {path}; train the laptop one with `python -m assets laptop_autoencoder`, or download "
            "the `vae` folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers and point the profile's autoencoder.path at it"
        )
    with reading_weights(path):
        model: Any = load_network(_class_at(path), path, AUTOENCODER_REMEDY, torch_dtype=dtype or inference_dtype())
    forget_source(model)
    return use_fast_layers(model).eval().requires_grad_(False)


def _class_at(path: str | Path) -> Any:
    """What the folder's config.json says; Wan's of one without a name, and of a hub id."""
    file = Path(path) / "config.json"
    name = json.loads(file.read_text()).get("_class_name", CLASSES[0]) if file.is_file() else CLASSES[0]
    if name not in CLASSES:
        raise InputError(f"{path} holds a {name}; autoencoders that can be loaded are {', '.join(CLASSES)}")
    return getattr(diffusers, name)


def enable_tiles(autoencoder: Any, height: int, width: int, stride_height: int, stride_width: int) -> None:
    """Have pictures of more than `height` x `width` pixels encoded and decoded in tiles of that size that begin `stride` pixels apart, whatever the class
    calls it. Where Wan's (2.2's) encodes patches, its encoder counts them as pixels."""
    stride = LatentGrid.of(autoencoder).stride
    overlap = 1 - stride_height / height
    if isinstance(autoencoder, diffusers.AutoencoderKL):  # tiles are square
        autoencoder.tile_sample_min_size, autoencoder.tile_latent_min_size = height, height // stride
        autoencoder.tile_overlap_factor = overlap
        autoencoder.enable_tiling()
    elif isinstance(autoencoder, diffusers.AutoencoderKLHunyuanVideo15):
        autoencoder.enable_tiling(height, width, height // stride, width // stride, overlap)
    else:
        autoencoder.enable_tiling(
            tile_sample_min_height=height,
            tile_sample_min_width=width,
            tile_sample_stride_height=stride_height,
            tile_sample_stride_width=stride_width,
        )


def first_width(autoencoder: Any) -> int:
    """Channels of its first block, which has the largest pictures."""
    config = autoencoder.config
    return config.base_dim if "base_dim" in config else config.block_out_channels[0]


@dataclass(frozen=True)
class LatentGrid:
    """What the latents of an autoencoder look like.

    Attributes:
        channels: of each cell.
        stride: pixels of a cell along either axis.
        temporal_stride: frames of a cell, but of the first, which is one.
    """

    channels: int = 16
    stride: int = 8
    temporal_stride: int = 4

    @classmethod
    def of(cls, autoencoder: Any) -> "LatentGrid":
        """Read off what it is built of: patches, and a halving between each two of its levels; or what it says itself."""
        config = autoencoder.config
        if "z_dim" not in config:  # HunyuanVideo's, or the pictures' of Stable Diffusion
            levels = 2 ** (len(config.block_out_channels) - 1)
            times = config.get("temporal_compression_ratio", cls.temporal_stride)
            return cls(config.latent_channels, config.get("spatial_compression_ratio", levels), times)
        times = 2 ** sum(config.temperal_downsample)
        return cls(config.z_dim, (config.patch_size or 1) * 2 ** (len(config.dim_mult) - 1), times)

    def shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """`(C, F, h, w)` of a clip of 4n+1 frames of so many pixels."""
        return self.channels, self.latents(frames), height // self.stride, width // self.stride

    def latents(self, frames: int) -> int:
        """How many a clip of 4n+1 frames has."""
        return 1 + (frames - 1) // self.temporal_stride

    def frames(self, latents: int) -> int:
        """Of the clip that has so many."""
        return max(0, 1 + (latents - 1) * self.temporal_stride)


WAN_GRID = LatentGrid()


def check_grid(autoencoder: Any, said: LatentGrid, source: str) -> None:
    """Hold what a profile says of latents against the autoencoder that it names.

    Raises:
        InputError: they differ; the message names keys and values.
    """
    found = LatentGrid.of(autoencoder)
    if found != said:
        raise InputError(
            f"the latents of {source} have {found.channels} channels and a stride of {found.stride} pixels and {found.temporal_stride} frames, and the "
            f"profile says {said.channels}, {said.stride} and {said.temporal_stride}; set transformer.latent_channels={found.channels}, "
            f"video.stride={found.stride} and video.temporal_stride={found.temporal_stride}, or name another encoders.autoencoder"
        )


def profile_grid(profile: Profile) -> LatentGrid:
    """What a profile says of latents."""
    return LatentGrid(profile.transformer.latent_channels, profile.video.stride, profile.video.temporal_stride)


def to_pixels(frames: Tensor) -> Tensor:
    """`(B, T, H, W, 3)` uint8 to `(B, 3, T, H, W)` in [-1, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(pixels: Tensor) -> Tensor:
    """`(B, 3, T, H, W)` in [-1, 1] to `(B, T, H, W, 3)` uint8."""
    return ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)


def moments(autoencoder: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of its latents, `(1, C, 1, 1, 1)` each, or one number of all channels (bases other than Wan): normalised latents are
    brought back by them."""
    shape, config = (1, -1, 1, 1, 1), autoencoder.config
    if "z_dim" not in config:
        mean, std = config.get("shift_factor") or 0.0, 1 / config.scaling_factor
        return torch.tensor(mean).to(like), torch.tensor(std).to(like)
    mean = torch.tensor(autoencoder.config.latents_mean).view(shape).to(like)
    std = torch.tensor(autoencoder.config.latents_std).view(shape).to(like)
    return mean, std


@torch.no_grad()
def encode_video(autoencoder: Any, pixels: Tensor) -> Tensor:
    """`(B, 3, 4n+1, H, W)` in [-1, 1] to normalised latents `(B, C, n+1, h, w)`; the posterior's mode.

    Raises:
        InputError: an autoencoder of pictures is given more than one frame.
    """
    pixels = pixels.to(execution_device(autoencoder), autoencoder.dtype)
    if takes_pictures(autoencoder):
        latents = autoencoder.encode(_one_frame(pixels)).latent_dist.mode()[:, :, None]
    else:
        latents = autoencoder.encode(pixels).latent_dist.mode()
    mean, std = moments(autoencoder, latents)
    return (latents - mean) / std


@torch.no_grad()
def decode_video(autoencoder: Any, latents: Tensor) -> Tensor:
    """Normalised latents `(B, C, n+1, h, w)` to `(B, 3, 4n+1, H, W)` in [-1, 1]."""
    return decode_with_gradient(autoencoder, latents)


def decode_with_gradient(autoencoder: Any, latents: Tensor) -> Tensor:
    """As `decode_video`, for training a decoder."""
    latents = latents.to(execution_device(autoencoder))
    mean, std = moments(autoencoder, latents)
    scaled = (latents * std + mean).to(autoencoder.dtype)
    if takes_pictures(autoencoder):
        return autoencoder.decode(_one_frame(scaled), return_dict=False)[0][:, :, None]
    return autoencoder.decode(scaled, return_dict=False)[0]


def takes_pictures(autoencoder: Any) -> bool:
    """Whether it knows no time: Stable Diffusion's."""
    return "z_dim" not in autoencoder.config and "temporal_compression_ratio" not in autoencoder.config


def _one_frame(x: Tensor) -> Tensor:
    if x.shape[2] != 1:
        raise InputError(
            f"this autoencoder takes pictures, and {x.shape[2]} frames are given: take a base of videos, or num_frames=1"
        )
    return x[:, :, 0]


def with_narrower_decoder(autoencoder: AutoencoderKLWan, base_dim: int) -> AutoencoderKLWan:
    """The same encoder, and so the same latents, with a narrower decoder that begins as the first channels of each of its own's layers.

    It draws nothing useful before it is trained, but it learns sooner than from random weights (docs/results/2026-11-27-slim-decoder.md).

    Args:
        autoencoder: the model's.
        base_dim: diffusers' `decoder_base_dim`.

    Raises:
        InputError: it would not be narrower, or is not Wan's.
    """
    if not isinstance(autoencoder, AutoencoderKLWan):
        raise InputError(f"a narrower decoder is made of Wan's autoencoder, and this is a {type(autoencoder).__name__}")
    own = autoencoder.config.decoder_base_dim or autoencoder.config.base_dim
    if base_dim >= own:
        raise InputError(
            f"a narrower decoder than one of {own} channels has fewer, got slim_decoder.base_dim = {base_dim}"
        )
    config = {name: value for name, value in autoencoder.config.items() if not name.startswith("_")}
    slim = use_fast_layers(AutoencoderKLWan(**{**config, "decoder_base_dim": base_dim}))
    wide = autoencoder.state_dict()
    first = {name: wide[name][tuple(map(slice, value.shape))] for name, value in slim.state_dict().items()}
    fill(slim, first, "the wider autoencoder", "make the narrower one of the same configuration")
    return slim


def has_the_same_latents(one: AutoencoderKLWan, other: AutoencoderKLWan) -> bool:
    """Whether what one encodes the other decodes: equal encoders and equal normalisation."""
    if any(one.config[name] != other.config[name] for name in ("latents_mean", "latents_std")):
        return False
    first, second = one.encoder.state_dict(), other.encoder.state_dict()
    return first.keys() == second.keys() and all(
        value.shape == second[name].shape and value.equal(second[name].to(value)) for name, value in first.items()
    )
