"""A call of our pipeline with conditions off, from prompt to frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.inputs import PROMPT, STEPS
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.stages.model import build_transformer


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn: one clip of `case` x `case` pixels, which the pipeline has not seen yet."""
    torch.set_num_threads(1)
    profile, side = load_profile("laptop"), int(case)
    pipeline = build_pipeline(profile, build_transformer(profile, None, 0), STEPS)
    sizes = {"height": side, "width": side, "num_frames": 17, "num_inference_steps": STEPS, "output_type": "np"}

    def turn() -> dict[str, Any]:
        pipeline.encoding_cache.clear()
        made = pipeline(PROMPT, guidance_scale=1.0, generator=torch.Generator().manual_seed(0), **sizes)
        return {"frames": made.frames[0][:, ::8, ::8].tolist()}

    turn()
    return turn
