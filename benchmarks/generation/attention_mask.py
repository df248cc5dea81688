"""`python -m benchmarks.generation.attention_mask`: self-attention of two of Wan-1.3B's heads with a mask of ones, without, and without what nobody is shown."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.interleaved import Comparison, compare

HEADS, WIDTH, FRAME = 2, 128, 1560  # two of Wan2.1-1.3B's twelve heads; tokens of one latent frame of 480 x 832 pixels


def attention(frames: int, packed: int) -> tuple[Comparison, Comparison]:
    """Of `frames` latent frames and `packed` frames of motion and reference: no mask against ones, and left out against hidden by a mask."""
    video, all_tokens = frames * FRAME, (frames + packed) * FRAME
    query, key, value = torch.randn(3, 1, HEADS, all_tokens, WIDTH, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, 1, 1, all_tokens, dtype=torch.bool)
    hidden = ones.clone()
    hidden[..., video:] = False
    short = [x[:, :, :video] for x in (query, key, value)]
    none_needed = compare(
        lambda: scaled_dot_product_attention(query, key, value),
        lambda: scaled_dot_product_attention(query, key, value, ones),
        rounds=3,
    )
    left_out = compare(
        lambda: scaled_dot_product_attention(*short),
        lambda: scaled_dot_product_attention(query, key, value, hidden),
        rounds=3,
    )
    return none_needed, left_out


def lines(frames: int = 1, packed: int = 1) -> list[str]:
    """For people."""
    none_needed, left_out = attention(frames, packed)
    what = f"{frames} + {packed} latent frames"
    return [
        f"self-attention of {what}, no mask / a mask of ones:          {none_needed.ratio:.3f}  ({none_needed.ours:.2f} / {none_needed.theirs:.2f} s)",
        f"self-attention of {what}, hidden left out / hidden by a mask: {left_out.ratio:.3f}  ({left_out.ours:.2f} / {left_out.theirs:.2f} s)",
    ]


def main() -> None:
    """A minute on one core."""
    torch.set_num_threads(1)
    with torch.no_grad():
        print("\n".join(lines()))


if __name__ == "__main__":
    main()
