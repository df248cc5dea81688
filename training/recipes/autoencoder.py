"""Train the laptop profile's video autoencoder on rendered puppets, through the DeepSpeed engine.

Wan2.1 profiles use Wan's published autoencoder; this recipe makes the 1.5M-parameter one that ships with the project.
The loss is L1 with the mouth window weighted by 6: an unweighted loss learns the mouth last. Saturated pixels (the joints'
discs, 2 % of the picture) get their own weight in the second run, which starts from the first.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file
from torch import Tensor, nn

from media.weights import fill
from omnihuman.autoencoder import (
    LAPTOP_CONFIG,
    decode_video,
    encode_video,
    load_autoencoder,
    to_frames,
    to_pixels,
    use_fast_layers,
)
from omnihuman.placement import computes_in_bfloat16
from profiles.schema import OptimizerConfig
from puppets import measure, render
from puppets.measure import MOUTH_WINDOW
from training.engine.convolutions import flatten_convolutions, restore_convolutions
from training.engine.optimizer import build_optimizer
from training.recipes.recipe import start_engine, write_record


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Everything that decides the weights. Frame counts are of the clips cut from rendered puppets."""

    seed: int = 7_000_000
    clips: int = 1536
    steps: int = 1500
    batch_frames: int = 68
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    mouth_weight: float = 6.0
    saturation_weight: float = 0.0
    clip_frames: tuple[int, ...] = (1, 5, 17, 17)  # by quarters; ending on 5 frames hurts 17-frame decoding
    start: str | None = None
    kl_weight: float = 1e-6
    warmup: int = 50


def _render_clip(seed: int, frames: int) -> np.ndarray:
    return render(seed, frames=frames).frames


def render_corpus(seed: int, clips: int, frames: int = 17) -> Tensor:
    """`(clips, frames, 64, 64, 3)` uint8, rendered on all cores, by processes of a server without torch's threads: forking those can deadlock."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["puppets"])
    drawing = partial(_render_clip, frames=frames)
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        return torch.from_numpy(np.stack(list(pool.map(drawing, range(seed, seed + clips), chunksize=16))))


def weighted_l1(decoded: Tensor, pixels: Tensor, mouth_weight: float, saturation_weight: float) -> Tensor:
    """Mean of |decoded - pixels|, both `(B, 3, T, 64, 64)` in [-1, 1], weighted by where a mouth is and by what is saturated."""
    weight = torch.ones(pixels.shape[-2:])
    weight[MOUTH_WINDOW] = mouth_weight
    saturation = (pixels.amax(dim=1, keepdim=True) - pixels.amin(dim=1, keepdim=True)) / 2
    weight = weight + saturation_weight * (saturation > 0.55)
    return ((decoded.float() - pixels).abs() * (weight / weight.mean())).mean()


def rate_scale(step: int, steps: int, warmup: int) -> float:
    """Factor on the rates: it rises, stands, and from 0.6 of the steps on falls to 0.02."""
    return min(1.0, (step + 1) / warmup) * min(1.0, 2.5 * (1 - step / steps) + 0.02)


def move_average(average: dict[str, Tensor], model: nn.Module, step: int, most: float = 0.99) -> None:
    """Take the weights of a step, from 0, into their average, which follows sooner at first."""
    decay = min(most, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            average[name].lerp_(parameter, 1 - decay)


def _loss(model: AutoencoderKLWan, pixels: Tensor, recipe: AutoencoderRecipe, generator: torch.Generator) -> Tensor:
    posterior = model.encode(pixels).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    decoded = model.decode(posterior.mean + posterior.std * noise, return_dict=False)[0]
    picture = weighted_l1(decoded, pixels, recipe.mouth_weight, recipe.saturation_weight)
    return picture + recipe.kl_weight * posterior.kl().mean()


def train(recipe: AutoencoderRecipe, output: Path) -> None:
    """Train and write `config.json`, `diffusion_pytorch_model.safetensors` and `RECIPE.json` into `output`."""
    torch.manual_seed(recipe.seed)
    corpus = render_corpus(recipe.seed, recipe.clips)
    model = use_fast_layers(AutoencoderKLWan(**LAPTOP_CONFIG, latents_mean=[0.0] * 16, latents_std=[1.0] * 16))
    if recipe.start:
        fill(model, load_autoencoder(recipe.start).state_dict(), recipe.start, "start from the laptop's autoencoder")
    convolutions = flatten_convolutions(model)
    optimizer = build_optimizer(
        ((name, p) for name, p in model.named_parameters()),
        OptimizerConfig(name="muon", lr=recipe.muon_lr, adam_lr=recipe.adam_lr),
    )
    engine = start_engine(model, optimizer, 4)
    base_rates = [group["lr"] for group in engine.optimizer.param_groups]
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    started = time.time()
    for step in range(recipe.steps):
        progress = step / recipe.steps
        generator = torch.Generator().manual_seed(recipe.seed + step)
        frames = recipe.clip_frames[int(progress * len(recipe.clip_frames))]
        chosen = torch.randint(len(corpus), (recipe.batch_frames // frames,), generator=generator)
        start = int(torch.randint(17 - frames + 1, (1,), generator=generator))
        scale = rate_scale(step, recipe.steps, recipe.warmup)
        for group, rate in zip(engine.optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * scale
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()):
            loss = _loss(model, to_pixels(corpus[chosen, start : start + frames]), recipe, generator)
        engine.backward(loss)
        engine.step()
        move_average(average, model, step)
        if step % 50 == 0:
            print(f"step {step} frames {frames} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(average[name])
    restore_convolutions(convolutions)
    _save(model.eval(), corpus, recipe, output, time.time() - started)


@torch.no_grad()
def _save(model: AutoencoderKLWan, corpus: Tensor, recipe: AutoencoderRecipe, output: Path, seconds: float) -> None:
    latents = torch.cat([model.encode(to_pixels(corpus[i : i + 8])).latent_dist.mode() for i in range(0, 256, 8)])
    model.register_to_config(
        latents_mean=latents.mean(dim=(0, 2, 3, 4)).tolist(), latents_std=latents.std(dim=(0, 2, 3, 4)).tolist()
    )
    save_autoencoder(model, output)
    command = "deepspeed --num_gpus 1 " + " ".join(a for a in sys.argv if not a.startswith("--local_rank"))
    before = {"started_from": json.loads((Path(recipe.start) / "RECIPE.json").read_text())} if recipe.start else {}
    write_record(output, command, recipe, seconds, score(output), **before)


def save_autoencoder(model: AutoencoderKLWan, output: Path) -> None:
    """A diffusers folder in bfloat16."""
    output.mkdir(parents=True, exist_ok=True)
    model.save_config(output)
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, output / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def score(path: Path, seed: int = 9_000_000, clips: int = 64) -> dict[str, float]:
    """Reconstruction of held-out puppets: PSNR in dB, mouth correlation, joint error in pixels, missing joints, colour."""
    autoencoder = load_autoencoder(path)
    puppets = [render(s, frames=17) for s in range(seed, seed + clips)]
    frames = torch.from_numpy(np.stack([p.frames for p in puppets]))
    decoded = torch.cat(
        [to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(part)))) for part in frames.split(8)]
    )
    return reconstruction(
        decoded, frames, [p.opening for p in puppets], [p.joints for p in puppets], [p.colours for p in puppets]
    )


def reconstruction(
    decoded: Tensor,
    frames: Tensor,
    openings: Sequence[np.ndarray],
    joints: Sequence[np.ndarray],
    colours: Sequence[np.ndarray],
) -> dict[str, float]:
    """What `score` returns, of `(B, T, 64, 64, 3)` uint8 beside the true frames, and what each puppet's pixels are to show."""
    error = (decoded.float() - frames.float()).square().mean(dim=(1, 2, 3, 4))
    measured = [measure(clip.numpy()) for clip in decoded]
    distance = np.concatenate(
        [np.linalg.norm(m.joints - true, axis=-1).ravel() for m, true in zip(measured, joints, strict=True)]
    )
    mouths, shades = np.concatenate([m.opening for m in measured]), [m.colours.mean(0) for m in measured]
    return {
        "psnr_db": round(float((10 * torch.log10(255.0**2 / error)).mean()), 3),
        "mouth_correlation": round(float(np.corrcoef(mouths, np.concatenate(openings))[0, 1]), 4),
        "joint_error_px_median": round(float(np.nanmedian(distance)), 4),
        "missing_joints": round(float(np.mean([m.missing.mean() for m in measured])), 4),
        "colour_error": round(float(np.abs(np.stack(shades) - np.stack(colours)).mean()), 4),
    }


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the diffusers-layout autoencoder")
    parser.add_argument("--steps", type=int, default=AutoencoderRecipe.steps)
    parser.add_argument("--clips", type=int, default=AutoencoderRecipe.clips)
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--start", help="folder of weights to go on from")
    parser.add_argument("--clip-frames", type=int, nargs="+", default=AutoencoderRecipe.clip_frames)
    parser.add_argument("--saturation-weight", type=float, default=0.0)
    parser.add_argument("--muon-lr", type=float, default=AutoencoderRecipe.muon_lr)
    arguments = parser.parse_args()
    recipe = AutoencoderRecipe(
        steps=arguments.steps,
        clips=arguments.clips,
        start=arguments.start,
        clip_frames=tuple(arguments.clip_frames),
        saturation_weight=arguments.saturation_weight,
        muon_lr=arguments.muon_lr,
        adam_lr=arguments.muon_lr / 10,
    )
    train(recipe, arguments.output)


if __name__ == "__main__":
    main()
