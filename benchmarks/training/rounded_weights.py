"""`python -m benchmarks.training.rounded_weights`: bytes that are live at most in a forward pass of a DeepSpeed engine in bf16, beyond its
weights, with autocast's cache of rounded weights and as the product runs it, without.

A small Wan with activation checkpointing on one rank, 12 tokens: what is counted are nearly weights alone.
"""

import argparse
import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from profiles import Profile, load_profile
from training.engine import deepspeed_engine
from training.plan.passes import largest_bucket
from training.plan.stand_ins import fake_batch
from training.plan.trace import Counting
from training.stages.flow_matching_step import velocity_losses
from training.stages.model import build_transformer

CUT = [
    "transformer.base=null", "transformer.num_layers=6", "transformer.num_attention_heads=4", "transformer.ffn_dim=2048",
    "transformer.text_dim=64", "encoders.text_tokens=16", "transformer.audio_layers=2", "encoders.audio_states=null", "transformer.audio_dim=32",
    "transformer.pose_channels=16", "video.height=32", "video.width=32", "video.frames=5", "video.buckets=[]",
    "engine.ranks=1", "stage_3.batch_size=1", "stage_3.ratios.motion=0.0",
]  # fmt: skip


class Live(Counting):
    """Counts real tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and hold what it makes."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.hold(leaf)
        return out


def measure(profile: Profile, cached: bool) -> float:
    """Bytes a weight, in this process."""
    from benchmarks.training.process_group import start_alone

    torch.set_num_threads(1)
    start_alone()
    model = build_transformer(profile, None, 0)
    model.enable_gradient_checkpointing()
    count = sum(parameter.numel() for parameter in model.parameters())
    as_deepspeed_does: AbstractContextManager[Any] = (
        patch.object(deepspeed_engine, "_keep_no_rounded_weights") if cached else nullcontext()
    )
    with as_deepspeed_does:
        engine = deepspeed_engine.build_engine(model, profile.stage_3.optimizer, profile.engine, 1)
    batch = fake_batch(profile, largest_bucket(profile), 1, profile.stage_3.ratios, torch.bfloat16)
    for name, value in vars(batch).items():
        if isinstance(value, Tensor):
            value.fill_(1.0) if name.endswith("mask") else value.uniform_()
    counter = Live()
    counter.ignore([*engine.module.parameters(), *engine.module.buffers()])
    counter.ignore([p.ds_tensor for p in engine.module.parameters() if hasattr(p, "ds_tensor")])
    with torch.no_grad(), counter:
        velocity_losses(engine, batch, torch.full((1,), 0.5))
    return counter.peak / count


def main() -> None:
    """Print a line for each stage and way, each from a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cached", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage is not None:
        profile = load_profile("wan2.1-1.3b", [*CUT, f"engine.zero_stage={arguments.stage}"])
        way = "with autocast's cache" if arguments.cached else "without"
        print(f"ZeRO {arguments.stage} {way}: {measure(profile, arguments.cached):.2f} bytes a weight", flush=True)
        os._exit(0)  # DeepSpeed's threads have nothing to end for
    for stage in (2, 3):
        for cached in ([], ["--cached"]):
            command = [sys.executable, "-m", __spec__.name, "--stage", str(stage), *cached]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            print(found[-1], flush=True)


if __name__ == "__main__":
    main()
