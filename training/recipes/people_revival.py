"""Channels of an autoencoder that carry nothing are given something to carry: what the encoder's last layer computes beside the ones in use."""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

LOUDEST = 20.0  # what a component is multiplied with at most
QUIETER = 0.1  # what of the decoder's reading is left: the channel was some 0.1 loud, and is 1 from now on


def carried_bits(mean: Tensor, std: Tensor) -> Tensor:
    """`(C,)`: half the log2 of 1 + (deviation of the mean / the posterior's own)^2, of `(B, C, T, h, w)` each."""
    axes = (0, 2, 3, 4)
    return 0.5 * torch.log2(1 + (mean.std(dim=axes) / std.mean(dim=axes)).square())


@torch.no_grad()
def revive(model: AutoencoderKLWan, pixels: Sequence[Tensor], least_bits: float = 0.3) -> list[int]:
    """Set the rows of `quant_conv` that make a dead channel to a principal component of the encoder's last outputs that the living channels do not
    hold, of deviation 1, and let the decoder begin by hearing little of it. The living channels, and what is drawn of them, stay.

    Args:
        model: with ordinary weights; changed in place.
        pixels: `(B, 3, T, H, W)` batches to see what is used.
        least_bits: below which a channel counts as dead.

    Returns:
        The channels that were dead.
    """
    outputs: list[Tensor] = []
    handle = model.quant_conv.register_forward_pre_hook(lambda _, given: outputs.append(given[0].float()))
    posteriors = [model.encode(batch).latent_dist for batch in pixels]
    handle.remove()
    mean = torch.cat([p.mean.float() for p in posteriors])
    bits = carried_bits(mean, torch.cat([p.std.float() for p in posteriors]))
    dead = [int(c) for c in torch.nonzero(bits < least_bits).flatten()]
    if not dead:
        return []
    living = [c for c in range(len(bits)) if c not in dead]
    made = torch.cat([y.transpose(0, 1).flatten(1) for y in outputs], dim=1)  # (2C, N)
    middle = made.mean(dim=1, keepdim=True)
    made = made - middle
    weight, bias = model.quant_conv.weight, model.quant_conv.bias
    used = weight[living].flatten(1).float() @ made
    # What is left of the outputs after the best linear guess from the living channels.
    guess = torch.linalg.lstsq((used @ used.T).double(), (used @ made.T).double()).solution.T.float()
    apart = torch.eye(len(made)) - guess @ weight[living].flatten(1).float()
    left = apart @ made
    values, vectors = torch.linalg.eigh(left @ left.T / left.shape[1])
    for channel, k in zip(dead, range(len(values) - 1, -1, -1), strict=False):
        row = vectors[:, k] @ apart
        loud = min(LOUDEST, 1 / float(values[k].clamp_min(1e-12).sqrt()))
        weight[channel] = (loud * row).view_as(weight[channel]).to(weight)
        bias[channel] = -float(loud * row @ middle[:, 0])
        model.post_quant_conv.weight[:, channel] *= QUIETER
    return dead
