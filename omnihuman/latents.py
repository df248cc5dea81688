"""Which video frames belong to which latent of the causal autoencoder."""

import torch
from torch import Tensor


def fold_frames_into_latents(x: Tensor, dim: int, stride: int = 4) -> Tensor:
    """Group per-frame values by latent: size sn+1 along `dim` becomes (n+1, s), frame 0 filling all of latent 0.

    With a stride s of 4 frames 4k-3 to 4k are latent k.

    Raises:
        ValueError: the size along `dim` is not sn+1.
    """
    frames = x.shape[dim]
    if (frames - 1) % stride:
        raise ValueError(f"the causal autoencoder maps {stride}n+1 frames to n+1 latents; got {frames} frames")
    first = x.narrow(dim, 0, 1).repeat_interleave(stride, dim)
    folded = torch.cat([first, x.narrow(dim, 1, frames - 1)], dim) if frames > 1 else first
    return folded.unflatten(dim, (1 + (frames - 1) // stride, stride))
