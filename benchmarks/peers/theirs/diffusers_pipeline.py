"""diffusers' `WanPipeline` with the same weights, encoders, sizes, steps and noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline

PROMPT, STEPS, TEXT_TOKENS = (
    "A person talks.",
    8,
    32,
)  # as inputs.py and the laptop profile have them, which are not to be had here


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn: one clip of `case` x `case` pixels."""
    torch.set_num_threads(1)
    pipeline = WanPipeline.from_pretrained(Path(folder) / "weights" / "wan", torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    side = int(case)
    sizes = {"height": side, "width": side, "num_frames": 17, "num_inference_steps": STEPS, "output_type": "np"}

    def turn() -> dict[str, Any]:
        generator = torch.Generator().manual_seed(0)
        made = pipeline(PROMPT, guidance_scale=1.0, generator=generator, max_sequence_length=TEXT_TOKENS, **sizes)
        return {"frames": made.frames[0][:, ::8, ::8].tolist()}

    turn()
    return turn
