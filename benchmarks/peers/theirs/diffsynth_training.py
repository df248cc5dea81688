"""A training step of DiffSynth-Studio: its Wan, its loss, AdamW, as its runner puts them together, without its loader and accelerator.

Its models import torchvision, which its training step does not use. The registry's torchvision is built for CUDA; beside a CPU's torch it has
no compiled operators, and describes two of them all the same, which fails unless their signatures are known. They are named here; nothing computes them.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

TIME, RATE = 0.5, 1e-5  # as ours/training.py has them
SIZES = {
    "dim": 192, "in_dim": 16, "out_dim": 16, "ffn_dim": 768, "text_dim": 384, "freq_dim": 256, "eps": 1e-6, "patch_size": (1, 2, 2),
    "num_heads": 6, "num_layers": 6, "has_image_input": False,
}  # fmt: skip


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn: `laptop-1` sample, or `laptop-16` of them one after another with gradients added up, as its loader hands over one at a time.

    After `-kept` with gradient checkpointing, which its scripts switch on.
    """
    _name_operators()
    from diffsynth.diffusion.loss import FlowMatchSFTLoss
    from diffsynth.models.wan_video_dit import WanModel
    from diffsynth.pipelines.wan_video import WanVideoPipeline

    torch.set_num_threads(1)
    shape, count, *kept = case.split("-")
    weights = Path(folder) / "weights"
    given = {name: rows[: int(count)] for name, rows in load_file(weights / f"samples-{shape}.safetensors").items()}
    pipe = WanVideoPipeline(device="cpu", torch_dtype=torch.float32)
    pipe.dit = WanModel(**SIZES)
    pipe.dit.load_state_dict(load_file(weights / "wan-original.safetensors"))
    pipe.scheduler.set_timesteps(1000, training=True)
    latents, noise, text = given["latents"], given["noise"], given["text"]
    with torch.no_grad():
        noisy = (1 - TIME) * latents[:1] + TIME * noise[:1]
        compared = pipe.model_fn(dit=pipe.dit, latents=noisy, timestep=torch.tensor([TIME * 1000]), context=text[:1])[0]
    optimizer = torch.optim.AdamW(pipe.dit.parameters(), lr=RATE, weight_decay=1e-2)

    def turn() -> dict[str, Any]:
        for row in range(len(latents)):
            inputs = {"input_latents": latents[row : row + 1], "context": text[row : row + 1]}
            loss = FlowMatchSFTLoss(pipe, **inputs, use_gradient_checkpointing=bool(kept))
            (loss / len(latents)).backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"velocity": compared.flatten()[:2048].tolist()}

    turn()
    return turn


@cache
def _name_operators() -> torch.library.Library:
    """Kept, for the names go when it does."""
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators
