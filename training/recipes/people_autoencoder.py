"""Train the people profile's video autoencoder on rendered people, through the DeepSpeed engine; a second call goes on where the first ended.

`deepspeed --num_gpus 1 --module training.recipes.people_autoencoder --clips FOLDER --render 20000 --work FOLDER --output FOLDER`: a process of its own
renders the clips while this trains.
Single frames come first, for they cost a third of a frame of a clip, then clips of 5, 9 and 17 frames: what it was never shown the end of, it drifts in. Every other step sees crops around a face, a
mouth or a hand, and those weigh more everywhere: an unweighted loss learns them last.

`--recipe mouths --start FOLDER` goes on from an exported autoencoder, with mouths before all else; `--recipe pairs --start FOLDER` goes on from that one
with cells of two frames instead of four: all its weights stay but those that halved time the first time.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor

from media.files import whole_directory
from media.weights import fill
from omnihuman.autoencoder import to_pixels, use_fast_layers
from omnihuman.placement import computes_in_bfloat16
from profiles.schema import OptimizerConfig
from training.engine.convolutions import flatten_convolutions, restore_convolutions
from training.engine.optimizer import build_optimizer
from training.recipes.people_batches import draw_batch
from training.recipes.people_clips import ClipsOnDisk, rendering
from training.recipes.people_revival import revive
from training.recipes.people_schedule import RECIPES, PeopleAutoencoderRecipe, phase_of, rate_at, value_at
from training.recipes.recipe import keep_latest, start_engine

# Wan2.2's layout (shortcuts that average and duplicate, 48 channels, stride 4 x 16 x 16) with patches of 4 pixels instead of 2 and all widths
# equal: nothing is convolved at more than 32 x 32, where a convolution of 128 x 128 pixels costs least per weight.
CONFIG: dict[str, Any] = {
    "base_dim": 48, "decoder_base_dim": 64, "dim_mult": [1, 1, 1], "num_res_blocks": 1, "z_dim": 48, "temperal_downsample": [True, True],
    "is_residual": True, "patch_size": 4, "in_channels": 48, "out_channels": 48, "scale_factor_spatial": 16, "scale_factor_temporal": 4,
}  # fmt: skip
CHANNELS = CONFIG["z_dim"]
WEIGHTS, RECORD = "diffusion_pytorch_model.safetensors", "RECIPE.json"
HALVING_TIME = r".*\.time_conv\."  # what an autoencoder of shorter cells has fewer of
REMEDY = "begin again with an empty --work folder"


def config_of(recipe: PeopleAutoencoderRecipe) -> dict[str, Any]:
    """diffusers' configuration of what a recipe trains."""
    halvings = list(recipe.temporal_downsample)
    return CONFIG | {"temperal_downsample": halvings, "scale_factor_temporal": 2 ** sum(halvings)}


def _differences(difference: Tensor, weight: Tensor) -> Iterator[Tensor]:
    """Weighted L1 of the horizontal and vertical differences of a difference of pictures, of neighbours and of those two apart."""
    for apart in (1, 2):
        yield ((difference[..., apart:] - difference[..., :-apart]).abs() * weight[..., apart:]).mean()
        yield ((difference[..., apart:, :] - difference[..., :-apart, :]).abs() * weight[..., apart:, :]).mean()


def _changes(difference: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of how a difference of pictures changes over one, two and four frames: 0 for what stands still alike in both."""
    changes = (
        ((difference[:, :, apart:] - difference[:, :, :-apart]).abs() * weight[:, :, apart:]).mean()
        for apart in (1, 2, 4)
        if apart < difference.shape[2]
    )
    return sum(changes, torch.zeros(())) / 3


def loss_of(
    model: AutoencoderKLWan,
    pixels: Tensor,
    weight: Tensor,
    recipe: PeopleAutoencoderRecipe,
    step: int,
    generator: torch.Generator,
) -> Tensor:
    """L1 of pixels, of edges and of changes over time, weighted by region, and KL per latent value: a little of it keeps latents from growing."""
    posterior = model.encode(pixels).latent_dist
    mean, std, variance = posterior.mean.float(), posterior.std.float(), posterior.logvar.float()
    noise = std.clamp(max=value_at(recipe.noise_caps, step))
    latents = mean + noise * torch.randn(mean.shape, generator=generator)
    difference = model.decode(latents, return_dict=False)[0].float() - pixels
    weight = weight / weight.mean()
    edges = sum(_differences(difference, weight), torch.zeros(())) / 4
    kl = 0.5 * (mean.square() + std.square() - 1 - variance).mean()
    loss = (difference.abs() * weight).mean() + recipe.gradient_weight * edges + value_at(recipe.kl_weights, step) * kl
    return loss + recipe.motion_weight * _changes(difference, weight) if recipe.motion_weight else loss


def new_model(config: dict[str, Any] = CONFIG) -> AutoencoderKLWan:
    """An untrained autoencoder whose latents are not normalised yet."""
    z = config["z_dim"]
    return use_fast_layers(AutoencoderKLWan(**config, latents_mean=[0.0] * z, latents_std=[1.0] * z))


class Training:
    """A training that can be interrupted: model, average, optimiser, step and seconds lie in `work`."""

    def __init__(
        self,
        recipe: PeopleAutoencoderRecipe,
        clips: ClipsOnDisk,
        work: Path,
        config: dict[str, Any] | None = None,
        start: Path | None = None,
    ):
        torch.manual_seed(recipe.seed)
        self.recipe, self.clips, self.work = recipe, clips, work
        self.config = config or config_of(recipe)
        self.step, self.seconds = 0, 0.0
        self.model = new_model(self.config)
        if start is not None:
            fill(
                self.model,
                load_file(start / WEIGHTS),
                str(start / WEIGHTS),
                "name the folder of an exported autoencoder",
                may_have=() if all(recipe.temporal_downsample) else (HALVING_TIME,),
            )
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
        if self.step == recipe.revive_at:
            self._revive()
        phase, crop = phase_of(recipe, self.step), recipe.crop if self.step % 2 else None
        rng = np.random.default_rng([recipe.seed, self.step])
        pixels, weight = draw_batch(
            self.clips, rng, phase.batch, phase.frames, crop, recipe.region_weights, recipe.crop_odds
        )
        for group, rate in zip(self.engine.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * rate_at(recipe, self.step)
        generator = torch.Generator().manual_seed(recipe.seed + self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()):
            loss = loss_of(self.model, pixels, weight, recipe, self.step, generator)
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

    @torch.no_grad()
    def _revive(self) -> None:
        """`people_revival.revive`, on the weights as they are kept here and on their average."""
        rng = np.random.default_rng([self.recipe.seed, 2**31 + 1])
        weights = self.recipe.region_weights
        seen = [draw_batch(self.clips, rng, 4, 5, None, weights)[0] for _ in range(4)]
        copy = new_model(self.config)
        convolutions = flatten_convolutions(copy)
        fill(copy, self.model.state_dict(), "the model in training", REMEDY)
        restore_convolutions(convolutions)
        print(f"revived channels {revive(copy.eval(), seen)}", flush=True)
        flatten_convolutions(copy)
        changed = copy.state_dict()
        for name, parameter in self.model.named_parameters():
            self.average[name] = torch.where(changed[name] == parameter, self.average[name], changed[name])
            parameter.copy_(changed[name])

    def averaged(self) -> AutoencoderKLWan:
        """A copy with the averaged weights, ordinary convolutions, for inference."""
        copy = new_model(self.config)
        convolutions = flatten_convolutions(copy)
        fill(copy, self.average, "the averaged weights", REMEDY)
        restore_convolutions(convolutions)
        return copy.eval().requires_grad_(False)


@torch.no_grad()
def export(model: AutoencoderKLWan, clips: ClipsOnDisk, output: Path, record: dict[str, Any], seed: int) -> None:
    """Normalise the latents by 64 clips of 17 frames and write a diffusers folder with `RECIPE.json`, whole or not at all."""
    rng = np.random.default_rng([seed, 2**31])
    latents = []
    for _ in range(16):
        frames = np.stack([clips.draw(rng, 17)[0] for _ in range(4)])
        latents.append(model.encode(to_pixels(torch.from_numpy(frames))).latent_dist.mode())
    values = torch.cat(latents)
    model.register_to_config(
        latents_mean=values.mean(dim=(0, 2, 3, 4)).tolist(), latents_std=values.std(dim=(0, 2, 3, 4)).tolist()
    )
    with whole_directory(output) as folder:
        model.save_config(folder)
        weights = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def train(
    recipe: PeopleAutoencoderRecipe,
    clips: ClipsOnDisk,
    work: Path,
    output: Path,
    every: int,
    command: str,
    steps: int | None = None,
    start: Path | None = None,
) -> None:
    """Train to the end of the recipe's phases, and keep the state and an exported snapshot every `every` steps."""
    started = _wait_for_clips(clips)
    begun_with = json.loads((start / RECORD).read_text()) if start is not None else None
    training = Training(recipe, clips, work, start=start)
    total, losses = steps or sum(phase.steps for phase in recipe.phases), []
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
                "command": command, "recipe": asdict(recipe), "config": training.config, "clips": seen, "steps": training.step,
                "seconds": round(training.seconds), "stored_as": "bfloat16", "begun_with": begun_with,
            }  # fmt: skip
            export(
                training.averaged(), clips, work / "snapshot" if training.step < total else output, record, recipe.seed
            )
            keep_latest(work)


def _wait_for_clips(clips: ClipsOnDisk) -> int:
    while not (found := clips.look_again()):
        time.sleep(5)
    return found


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder that people_clips renders into")
    parser.add_argument(
        "--render", type=int, default=0, help="clips to render there meanwhile; 0: somebody else does, or has"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the training's state, to go on from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the diffusers-layout autoencoder")
    parser.add_argument(
        "--recipe", choices=RECIPES, default="people", help="people: from scratch; mouths: what follows"
    )
    parser.add_argument("--start", type=Path, help="exported autoencoder whose weights it begins with")
    parser.add_argument("--steps", type=int, help="end early, after so many in all")
    parser.add_argument("--every", type=int, default=200, help="steps between two states on disk")
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    command = "deepspeed --num_gpus 1 --module training.recipes.people_autoencoder " + " ".join(
        a for a in sys.argv[1:] if not a.startswith("--local_rank")
    )
    with rendering(args.clips, args.render):
        recipe, clips = RECIPES[args.recipe], ClipsOnDisk(args.clips)
        train(recipe, clips, args.work, args.output, args.every, command, args.steps, args.start)


if __name__ == "__main__":
    main()
