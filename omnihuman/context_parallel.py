"""Context parallelism (Ulysses) over the packed sequence: where it is split and gathered, and which sizes it can take.

diffusers splits and gathers at module boundaries. Wan's own plan splits the video's rotary table and the input of block 0;
with motion and reference tokens packed behind the video, the sequence exists only after packing. Two modules without
parameters mark the places: everything with a token axis passes through `SequenceEntry` once, and the projected output
through `SequenceExit`. No parameter lies behind the exit, so gradients **sum** over the ranks to those of one rank.

Ranks that share a sequence must be given the same inputs, noise and timesteps too. Beside data parallelism, hand
`ContextParallelConfig` a mesh with the axes ("data", "ring", "ulysses") of sizes (replicas, 1, ranks per sequence).
"""

from typing import Any

import torch
from diffusers.models._modeling_parallel import ContextParallelConfig, ContextParallelInput, ContextParallelOutput
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.errors import InputError


class SequenceEntry(nn.Module):
    """Passes its inputs on; under context parallelism a hook has cut them to this rank's slice before."""

    def forward(
        self, tokens: Tensor, cosine: Tensor, sine: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`(B, N, dim)`, twice `(1, N, 1, head_dim)`, and `(N,)` positions, by which a slice knows where it lies."""
        return tokens, cosine, sine, positions


class SequenceExit(nn.Module):
    """Passes its input on; under context parallelism a hook joins the slices of all ranks behind it."""

    def forward(self, tokens: Tensor) -> Tensor:
        """`(B, N, channels)`."""
        return tokens


PLAN = {
    "sequence_entry": {
        "tokens": ContextParallelInput(split_dim=1, expected_dims=3),
        "cosine": ContextParallelInput(split_dim=1, expected_dims=4),
        "sine": ContextParallelInput(split_dim=1, expected_dims=4),
        "positions": ContextParallelInput(split_dim=0, expected_dims=1),
    },
    "sequence_exit": ContextParallelOutput(gather_dim=1, expected_dims=3),
}


def join_slices(sequence_exit: SequenceExit, tokens: Tensor, total: int, ranks: int) -> Tensor:
    """The slices of all ranks as one sequence of `total` tokens.

    Uneven slices ("anything" mode; the first ranks have one token more) are filled up to one length before they are joined
    and cut after, because not every communication library gathers unequal sizes.
    """
    shortest, longer = divmod(total, ranks)
    if not longer:
        return sequence_exit(tokens)
    joined = sequence_exit(F.pad(tokens, (0, 0, 0, shortest + 1 - tokens.shape[1])))
    return torch.cat(
        [part[:, : shortest + (rank < longer)] for rank, part in enumerate(joined.chunk(ranks, dim=1))], dim=1
    )


def context_parallel(config: Any) -> ContextParallelConfig | None:
    """The context-parallel part of what diffusers' `enable_parallelism` takes or a model keeps."""
    return config if isinstance(config, ContextParallelConfig) else getattr(config, "context_parallel_config", None)


def check_heads(heads: int, config: ContextParallelConfig) -> None:
    """Refuse what attention could not split.

    Raises:
        InputError: ring attention, or heads that do not divide by the ranks; both numbers are named.
    """
    ranks = config.ulysses_degree or 1
    if (config.ring_degree or 1) > 1:
        raise InputError(
            f"ring_degree={config.ring_degree}: diffusers' ring attention cannot hide the reference of some samples; "
            "use ulysses_degree alone"
        )
    padding = -heads % ranks
    # diffusers' "anything" mode pads the last rank's heads and needs at least one real head there.
    if padding and not (config.ulysses_anything and padding < (heads + padding) // ranks):
        fitting = [degree for degree in range(2, heads + 1) if heads % degree == 0]
        raise InputError(
            f"{heads} attention heads do not divide by ulysses_degree={ranks}: take one of {fitting}"
            + ("" if config.ulysses_anything else ", or for inference try ulysses_anything=True")
        )


def check_tokens(video: int, packed: int, config: ContextParallelConfig) -> None:
    """Refuse a sequence that the ranks cannot share.

    Args:
        video: tokens of the video.
        packed: motion and reference tokens behind them.
        config: set up, as a model keeps it.

    Raises:
        InputError: the tokens do not divide by the ranks; both numbers are named.
    """
    ranks, total = config.ulysses_degree or 1, video + packed
    if config.ulysses_anything:
        if total < ranks:
            raise InputError(f"{total} tokens cannot be shared by ulysses_degree={ranks} ranks: use fewer ranks")
    elif total % ranks:
        raise InputError(
            f"{total} tokens ({video} video + {packed} motion and reference) do not divide by ulysses_degree={ranks}: change "
            "the bucket's size or the ranks, or for inference use ContextParallelConfig(ulysses_anything=True)"
        )
