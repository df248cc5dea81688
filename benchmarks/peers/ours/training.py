"""A step of flow matching of our transformer with text alone, in plain torch with AdamW: what DeepSpeed adds is in `benchmarks.training.training_step`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from profiles import load_profile
from training.flow_matching import interpolate, per_sample_loss
from training.stages.model import build_transformer

TIME = 0.5  # of the forward pass whose velocities are compared
RATE = 1e-5  # DiffSynth's default


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn: one step over `laptop-1` sample or `laptop-16` samples of that shape; before it a velocity by which both sides are compared."""
    torch.set_num_threads(1)
    shape, count, *_ = case.split("-")
    given = {
        name: rows[: int(count)]
        for name, rows in load_file(Path(folder) / "weights" / f"samples-{shape}.safetensors").items()
    }
    model = build_transformer(load_profile("laptop"), None, 0)
    latents, noise, text = given["latents"], given["noise"], given["text"]

    def velocity(t: torch.Tensor) -> torch.Tensor:
        return model(interpolate(latents, noise, t), t * 1000, encoder_hidden_states=text, return_dict=False)[0]

    with torch.no_grad():
        compared = velocity(torch.full((len(latents),), TIME))[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)

    def turn() -> dict[str, Any]:
        loss = per_sample_loss(velocity(torch.rand(len(latents))), latents, noise).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"velocity": compared.flatten()[:2048].tolist()}

    turn()
    return turn
