"""Which video frames belong to which latent of the causal autoencoder."""

import torch
from torch import Tensor


def fold_frames_into_latents(x: Tensor, dim: int) -> Tensor:
    """Group per-frame values by latent: size 4n+1 along `dim` becomes (n+1, 4), frame 0 filling all of latent 0.

    Frames 4k-3 to 4k are latent k.

    Raises:
        ValueError: the size along `dim` is not 4n+1.
    """
    frames = x.shape[dim]
    if frames % 4 != 1:
        raise ValueError(f"the causal autoencoder maps 4n+1 frames to n+1 latents; got {frames} frames")
    first = x.narrow(dim, 0, 1).repeat_interleave(4, dim)
    folded = torch.cat([first, x.narrow(dim, 1, frames - 1)], dim) if frames > 1 else first
    return folded.unflatten(dim, ((frames + 3) // 4, 4))
