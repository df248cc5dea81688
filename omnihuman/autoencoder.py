"""The video autoencoder: diffusers' `AutoencoderKLWan`, normalised latents, and the same maths at CPU speed.

The causal autoencoder maps frame 0 to latent 0 and frames 4k-3..4k to latent k (Wan2.1: stride 4x8x8, 16 channels).
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanRMS_norm
from torch import Tensor

from media.weights import fill, load_network
from omnihuman.deferred_imports import deferring
from omnihuman.digests import forget_source
from omnihuman.errors import InputError, MissingWeights, reading_weights
from omnihuman.placement import computes_in_bfloat16, execution_device

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
        return x * inverse * (self.scale * self.gamma) + self.bias


def use_rsqrt_norm(autoencoder: AutoencoderKLWan) -> AutoencoderKLWan:
    """Swap the norm implementation in place; parameters and their names stay."""
    for module in autoencoder.modules():
        if type(module) is WanRMS_norm:
            module.__class__ = RsqrtRMSNorm
    return autoencoder


def inference_dtype() -> torch.dtype:
    """Give bfloat16 where an accelerator or this processor computes in it, else float32.

    A processor without instructions for bfloat16 imitates it: a 64-pixel window takes 6.0 s of a core instead of 0.2 s.
    """
    return torch.bfloat16 if computes_in_bfloat16() else torch.float32


@deferring()
def load_autoencoder(path: str | Path, dtype: torch.dtype | None = None) -> AutoencoderKLWan:
    """Load from a diffusers folder or hub id, ready for inference in `dtype`, by default `inference_dtype()`.

    Raises:
        MissingWeights: a local folder that does not exist, with the command that makes or fetches it.
        WrongWeights: not this network's weights, whole.
    """
    if str(path).startswith((".", "/")) and not Path(path).is_dir():
        raise MissingWeights(
            f"no autoencoder at {path}; train the laptop one with `python -m assets autoencoder`, or download "
            "the `vae` folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers and point the profile's autoencoder.path at it"
        )
    with reading_weights(path):
        model = load_network(AutoencoderKLWan, path, AUTOENCODER_REMEDY, torch_dtype=dtype or inference_dtype())
    forget_source(model)
    return use_rsqrt_norm(model).eval().requires_grad_(False)


def to_pixels(frames: Tensor) -> Tensor:
    """`(B, T, H, W, 3)` uint8 to `(B, 3, T, H, W)` in [-1, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(pixels: Tensor) -> Tensor:
    """`(B, 3, T, H, W)` in [-1, 1] to `(B, T, H, W, 3)` uint8."""
    return ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)


def _moments(autoencoder: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(autoencoder.config.latents_mean).view(shape).to(like)
    std = torch.tensor(autoencoder.config.latents_std).view(shape).to(like)
    return mean, std


@torch.no_grad()
def encode_video(autoencoder: AutoencoderKLWan, pixels: Tensor) -> Tensor:
    """`(B, 3, 4n+1, H, W)` in [-1, 1] to normalised latents `(B, 16, n+1, H/8, W/8)`; the posterior's mode."""
    latents = autoencoder.encode(pixels.to(execution_device(autoencoder), autoencoder.dtype)).latent_dist.mode()
    mean, std = _moments(autoencoder, latents)
    return (latents - mean) / std


@torch.no_grad()
def decode_video(autoencoder: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Normalised latents `(B, 16, n+1, h, w)` to `(B, 3, 4n+1, 8h, 8w)` in [-1, 1]."""
    return decode_with_gradient(autoencoder, latents)


def decode_with_gradient(autoencoder: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """As `decode_video`, for training a decoder."""
    latents = latents.to(execution_device(autoencoder))
    mean, std = _moments(autoencoder, latents)
    return autoencoder.decode((latents * std + mean).to(autoencoder.dtype), return_dict=False)[0]


def with_narrower_decoder(autoencoder: AutoencoderKLWan, base_dim: int) -> AutoencoderKLWan:
    """The same encoder, and so the same latents, with a narrower decoder that begins as the first channels of each of its own's layers.

    It draws nothing useful before it is trained, but it learns sooner than from random weights (docs/results/2026-11-27-slim-decoder.md).

    Args:
        autoencoder: the model's.
        base_dim: diffusers' `decoder_base_dim`.

    Raises:
        InputError: it would not be narrower.
    """
    own = autoencoder.config.decoder_base_dim or autoencoder.config.base_dim
    if base_dim >= own:
        raise InputError(
            f"a narrower decoder than one of {own} channels has fewer, got slim_decoder.base_dim = {base_dim}"
        )
    config = {name: value for name, value in autoencoder.config.items() if not name.startswith("_")}
    slim = use_rsqrt_norm(AutoencoderKLWan(**{**config, "decoder_base_dim": base_dim}))
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
