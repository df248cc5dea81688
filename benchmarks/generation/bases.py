"""OmniHuman around each bare base, conditions off: forward and backward of one clip, in CPU seconds of one process.

    python -m benchmarks.generation.bases [--base stable_diffusion3]

Both are built of the same weights and compute the same (tests/omnihuman/test_bases.py); what is measured is what lies between them. CPU seconds, not the
clock, because other processes take the machine's time; the fastest of many alternating runs of each.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from omnihuman.bases.registry import base_named

WIDTH = {"num_attention_heads": 6, "attention_head_dim": 64}
TEXT, ROWS = 384, 32


def _wan(latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
    return {"hidden_states": latents, "timestep": time, "encoder_hidden_states": text}


def _hunyuan(latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
    return _wan(latents, time, text) | {
        "encoder_attention_mask": torch.ones(text.shape[:2], dtype=torch.long),
        "pooled_projections": text.new_zeros(len(text), 768),
        "guidance": torch.full((len(text),), 6000.0),
    }


def _hunyuan15(latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
    batch = len(text)
    return _wan(torch.cat([latents, latents.new_zeros(batch, 33, *latents.shape[2:])], dim=1), time, text) | {
        "encoder_attention_mask": torch.ones(text.shape[:2], dtype=torch.long),
        "encoder_hidden_states_2": text.new_zeros(batch, 0, 1472),
        "encoder_attention_mask_2": torch.ones(batch, 0, dtype=torch.long),
        "image_embeds": text.new_zeros(batch, 0, 1152),
    }


def _sd3(latents: torch.Tensor, time: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
    return _wan(latents[:, :, 0], time, text) | {"pooled_projections": text.new_zeros(len(text), 2048)}


# By architecture: sizes cut down, latents (C, F, h, w), and what the bare model is called with.
BASES: dict[str, tuple[dict[str, Any], tuple[int, ...], Callable[..., dict[str, Any]]]] = {
    "wan": ({**WIDTH, "ffn_dim": 1536, "num_layers": 6, "text_dim": TEXT}, (16, 5, 16, 16), _wan),
    "hunyuan_video": (
        {**WIDTH, "num_layers": 2, "num_single_layers": 4, "rope_axes_dim": (8, 28, 28), "text_embed_dim": TEXT},
        (16, 5, 16, 16),
        _hunyuan,
    ),
    "hunyuan_video15": (
        {**WIDTH, "num_layers": 6, "rope_axes_dim": (8, 28, 28), "text_embed_dim": TEXT},
        (32, 5, 8, 8),
        _hunyuan15,
    ),
    "stable_diffusion3": (
        {**WIDTH, "num_layers": 6, "joint_attention_dim": TEXT, "caption_projection_dim": 384, "sample_size": 32,
         "pos_embed_max_size": 64, "dual_attention_layers": (0, 1, 2), "qk_norm": "rms_norm"},
        (16, 1, 32, 32),
        _sd3,
    ),
}  # fmt: skip


def ratio(architecture: str, rounds: int) -> tuple[float, float]:
    """CPU seconds of the bare base's fastest forward and backward, and ours over it."""
    sizes, shape, bare_inputs = BASES[architecture]
    kind = base_named(architecture).load()
    bare, ours = kind.published(**sizes), kind(**sizes, audio_dim=64, audio_layers=4, pose_keypoints=4)
    ours.load_state_dict(bare.state_dict(), strict=False)
    latents, moment, text = torch.randn(1, *shape), torch.tensor([500.0]), torch.randn(1, ROWS, TEXT)
    plain = bare_inputs(latents, moment, text)
    best = [float("inf"), float("inf")]
    for number in range(rounds + 1):
        for side, call in enumerate((lambda: bare(**plain), lambda: ours(latents, moment, text))):
            started = time.process_time()
            call().sample.square().mean().backward()
            if number:  # the first makes the gradients
                best[side] = min(best[side], time.process_time() - started)
    return best[0], best[1] / best[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--base", action="append", choices=BASES, help="default: all of them")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.base or BASES:
        seconds, share = ratio(name, args.rounds)
        print(f"{name}: {1000 * seconds:.1f} ms of the bare base, ratio {share:.3f}", flush=True)
