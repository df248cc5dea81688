"""Train the people profile's video autoencoder on rendered people, through the DeepSpeed engine; a second call goes on where the first ended.

`deepspeed --num_gpus 1 -m training.recipes.people_autoencoder --clips FOLDER --work FOLDER --output profiles/people/autoencoder`, beside
`python -m training.recipes.people_clips FOLDER`, which renders while this trains.
Single frames come first, for they cost a third of a frame of a clip, then clips of 5 and of 9 frames. Every other step sees crops around a face, a
mouth or a hand, and those weigh more everywhere: an unweighted loss learns them last.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from torch import Tensor

from media.files import whole_directory
from omnihuman.autoencoder import to_pixels, use_fast_layers
from omnihuman.placement import computes_in_bfloat16
from profiles.schema import OptimizerConfig
from training.engine.convolutions import flatten_convolutions, restore_convolutions
from training.engine.optimizer import build_optimizer
from training.recipes.people_clips import REGIONS, ClipsOnDisk
from training.recipes.recipe import start_engine

# Wan2.2's layout (shortcuts that average and duplicate, 48 channels, stride 4 x 16 x 16) with patches of 4 pixels instead of 2 and all widths
# equal: nothing is convolved at more than 32 x 32, where a convolution of 128 x 128 pixels costs least per weight.
CONFIG: dict[str, Any] = {
    "base_dim": 48, "decoder_base_dim": 64, "dim_mult": [1, 1, 1], "num_res_blocks": 1, "z_dim": 48, "temperal_downsample": [True, True],
    "is_residual": True, "patch_size": 4, "in_channels": 48, "out_channels": 48, "scale_factor_spatial": 16, "scale_factor_temporal": 4,
}  # fmt: skip
CHANNELS = CONFIG["z_dim"]


@dataclass(frozen=True)
class Phase:
    """So many steps of clips of so many frames."""

    steps: int
    frames: int
    batch: int  # whole pictures' clips; of crops, which are a quarter, four times as many


@dataclass(frozen=True)
class PeopleAutoencoderRecipe:
    """Everything that decides the weights, with the clips on disk."""

    seed: int = 72_000_000
    phases: tuple[Phase, ...] = (Phase(1200, 1, 24), Phase(1500, 5, 4), Phase(300, 9, 2))
    optimizer: str = "muon"
    lr: float = 0.02
    adam_lr: float = 2e-3
    decay_share: float = 0.3  # of all steps, at the end, over which the rate falls to `decay_to`
    decay_to: float = 0.02
    warmup: int = 50
    crop: int = 64
    region_weights: tuple[float, ...] = (3.0, 8.0, 5.0, 5.0)  # of `people_clips.REGIONS`; elsewhere 1
    gradient_weight: float = 1.0
    kl_weight: float = 1e-5
    ema: float = 0.995


def phase_of(recipe: PeopleAutoencoderRecipe, step: int) -> Phase:
    """Which phase a step belongs to."""
    for phase in recipe.phases:
        if step < phase.steps:
            return phase
        step -= phase.steps
    return recipe.phases[-1]


def rate_at(recipe: PeopleAutoencoderRecipe, step: int) -> float:
    """The learning rate's factor: a short rise, a plateau, a straight fall at the end."""
    total = sum(phase.steps for phase in recipe.phases)
    left = (total - step) / max(1.0, recipe.decay_share * total)
    return min(1.0, (step + 1) / recipe.warmup) * min(1.0, recipe.decay_to + (1 - recipe.decay_to) * left)


def weight_map(boxes: np.ndarray, size: int, region_weights: tuple[float, ...]) -> np.ndarray:
    """`(..., size, size)` float32 of `(..., 4, 4)` boxes: each region's weight, the larger where two meet, 1 elsewhere."""
    out = np.ones((*boxes.shape[:-2], size, size), np.float32)
    for place in np.ndindex(*boxes.shape[:-2]):
        for r in np.argsort(region_weights):
            left, top, right, bottom = boxes[place][r]
            out[place][top:bottom, left:right] = region_weights[r]
    return out


def draw_batch(clips: ClipsOnDisk, recipe: PeopleAutoencoderRecipe, phase: Phase, step: int) -> tuple[Tensor, Tensor]:
    """`(B, 3, T, H, W)` pixels in [-1, 1] and `(B, 1, T, H, W)` weights of a step: whole pictures, or crops around a region, by turns."""
    rng = np.random.default_rng([recipe.seed, step])
    crops = step % 2 == 1
    pixels, weights = [], []
    for _ in range(phase.batch * (4 if crops else 1)):
        frames, boxes = clips.draw(rng, phase.frames)
        size = frames.shape[1]
        weight = weight_map(boxes, size, recipe.region_weights)
        if crops:
            part = crop_around(boxes, size, recipe.crop, rng)
            frames, weight = frames[:, part[0], part[1]], weight[:, part[0], part[1]]
        if rng.random() < 0.5:
            frames, weight = frames[:, :, ::-1], weight[:, :, ::-1]
        pixels.append(np.ascontiguousarray(frames))
        weights.append(np.ascontiguousarray(weight))
    return to_pixels(torch.from_numpy(np.stack(pixels))), torch.from_numpy(np.stack(weights))[:, None]


def crop_around(boxes: np.ndarray, size: int, crop: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a crop around one of the regions that are seen in the middle frame, a quarter of a crop off at most."""
    middle = boxes[len(boxes) // 2]
    seen = [r for r in range(len(REGIONS)) if middle[r].any()]
    if not seen:
        top, left = rng.integers(size - crop + 1, size=2)
    else:
        box = middle[seen[int(rng.integers(len(seen)))]]
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-crop / 4, crop / 4, 2)
        left, top = np.clip(np.round(centre - crop / 2), 0, size - crop).astype(int)
    return slice(int(top), int(top) + crop), slice(int(left), int(left) + crop)


def _differences(difference: Tensor, weight: Tensor) -> Iterator[Tensor]:
    """Weighted L1 of the horizontal and vertical differences of a difference of pictures, of neighbours and of those two apart."""
    for apart in (1, 2):
        yield ((difference[..., apart:] - difference[..., :-apart]).abs() * weight[..., apart:]).mean()
        yield ((difference[..., apart:, :] - difference[..., :-apart, :]).abs() * weight[..., apart:, :]).mean()


def loss_of(
    model: AutoencoderKLWan, pixels: Tensor, weight: Tensor, recipe: PeopleAutoencoderRecipe, generator: torch.Generator
) -> Tensor:
    """L1 of pixels and of edges, weighted by region, and a little KL that keeps latents from growing."""
    posterior = model.encode(pixels).latent_dist
    mean, std = posterior.mean.float(), posterior.std.float()
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    difference = model.decode(latents, return_dict=False)[0].float() - pixels
    weight = weight / weight.mean()
    edges = sum(_differences(difference, weight), torch.zeros(())) / 4
    return (
        (difference.abs() * weight).mean() + recipe.gradient_weight * edges + recipe.kl_weight * posterior.kl().mean()
    )


def new_model(config: dict[str, Any] = CONFIG) -> AutoencoderKLWan:
    """An untrained autoencoder whose latents are not normalised yet."""
    z = config["z_dim"]
    return use_fast_layers(AutoencoderKLWan(**config, latents_mean=[0.0] * z, latents_std=[1.0] * z))


class Training:
    """A training that can be interrupted: model, average, optimiser, step and seconds lie in `work`."""

    def __init__(
        self, recipe: PeopleAutoencoderRecipe, clips: ClipsOnDisk, work: Path, config: dict[str, Any] = CONFIG
    ):
        torch.manual_seed(recipe.seed)
        self.recipe, self.clips, self.work, self.step, self.seconds = recipe, clips, work, 0, 0.0
        self.model = new_model(config)
        self.convolutions = flatten_convolutions(self.model)
        settings = OptimizerConfig(name=recipe.optimizer, lr=recipe.lr, adam_lr=recipe.adam_lr)
        self.engine = start_engine(self.model, build_optimizer(self.model.named_parameters(), settings), 4)
        self.rates = [group["lr"] for group in self.engine.optimizer.param_groups]
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        if (work / "latest").exists():
            _, state = self.engine.load_checkpoint(str(work))
            self.step, self.seconds, self.average = state["step"], state["seconds"], state["average"]

    def advance(self) -> float:
        """One step; returns its loss."""
        recipe, started = self.recipe, time.time()
        pixels, weight = draw_batch(self.clips, recipe, phase_of(recipe, self.step), self.step)
        for group, rate in zip(self.engine.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * rate_at(recipe, self.step)
        generator = torch.Generator().manual_seed(recipe.seed + self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()):
            loss = loss_of(self.model, pixels, weight, recipe, generator)
        self.engine.backward(loss)
        self.engine.step()
        self.step += 1
        decay = min(recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 1 - decay)
        self.seconds += time.time() - started
        return loss.item()

    def save(self) -> None:
        """Keep everything that a later call needs; the one before is removed once this one is whole."""
        state = {"step": self.step, "seconds": self.seconds, "average": self.average}
        self.engine.save_checkpoint(str(self.work), tag=f"step-{self.step}", client_state=state)

    def averaged(self, config: dict[str, Any] = CONFIG) -> AutoencoderKLWan:
        """A copy with the averaged weights, ordinary convolutions, for inference."""
        copy = new_model(config)
        convolutions = flatten_convolutions(copy)
        copy.load_state_dict(self.average)
        restore_convolutions(convolutions)
        return copy.eval().requires_grad_(False)


@torch.no_grad()
def export(model: AutoencoderKLWan, clips: ClipsOnDisk, output: Path, record: dict[str, Any], seed: int) -> None:
    """Normalise the latents by 128 clips of 9 frames and write a diffusers folder with `RECIPE.json`, whole or not at all."""
    rng = np.random.default_rng([seed, 2**31])
    latents = []
    for _ in range(16):
        frames = np.stack([clips.draw(rng, 9)[0] for _ in range(8)])
        latents.append(model.encode(to_pixels(torch.from_numpy(frames))).latent_dist.mode())
    values = torch.cat(latents)
    model.register_to_config(
        latents_mean=values.mean(dim=(0, 2, 3, 4)).tolist(), latents_std=values.std(dim=(0, 2, 3, 4)).tolist()
    )
    with whole_directory(output) as folder:
        model.save_config(folder)
        weights = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
        (folder / "RECIPE.json").write_text(json.dumps(record, indent=2) + "\n")


def train(
    recipe: PeopleAutoencoderRecipe, clips: ClipsOnDisk, work: Path, output: Path, every: int, command: str
) -> None:
    """Train to the end of the recipe's phases, and keep the state and an exported snapshot every `every` steps."""
    started = clips.look_again()
    training = Training(recipe, clips, work)
    total, losses = sum(phase.steps for phase in recipe.phases), []
    print(
        f"{started} clips, {sum(p.numel() for p in training.model.parameters()):,} weights, from step {training.step}",
        flush=True,
    )
    while training.step < total:
        losses.append(training.advance())
        if training.step % 25 == 0:
            frames = phase_of(recipe, training.step - 1).frames
            print(
                f"step {training.step}/{total} frames {frames} loss {np.mean(losses[-24:]):.4f} {training.seconds:.0f} s",
                flush=True,
            )
        if training.step % every == 0 or training.step == total:
            seen = clips.look_again()
            training.save()
            record = {
                "command": command, "recipe": asdict(recipe), "config": CONFIG, "clips": seen, "steps": training.step,
                "seconds": round(training.seconds), "stored_as": "bfloat16",
            }  # fmt: skip
            export(
                training.averaged(), clips, work / "snapshot" if training.step < total else output, record, recipe.seed
            )
            _keep_latest(work)


def _keep_latest(work: Path) -> None:
    latest = (work / "latest").read_text().strip()
    for folder in work.glob("step-*"):
        if folder.name != latest:
            shutil.rmtree(folder)


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder that people_clips renders into")
    parser.add_argument("--work", type=Path, required=True, help="folder of the training's state, to go on from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the diffusers-layout autoencoder")
    parser.add_argument("--steps", type=int, nargs=3, help="steps of 1, 5 and 9 frames, for another length")
    parser.add_argument("--every", type=int, default=200, help="steps between two states on disk")
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    recipe = PeopleAutoencoderRecipe()
    if args.steps:
        phases = tuple(replace(phase, steps=steps) for phase, steps in zip(recipe.phases, args.steps, strict=True))
        recipe = replace(recipe, phases=phases)
    command = "deepspeed --num_gpus 1 -m training.recipes.people_autoencoder " + " ".join(
        a for a in sys.argv[1:] if not a.startswith("--local_rank")
    )
    train(recipe, ClipsOnDisk(args.clips), args.work, args.output, args.every, command)


if __name__ == "__main__":
    main()
