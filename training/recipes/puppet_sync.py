"""Train puppet sync (`networks/puppet_sync.py`) on rendered puppets, through the DeepSpeed engine.

Contrastive: among all windows of sound of a batch, several clips whole, a mouth's own is to be the most alike, and the other way
round (InfoNCE; Oord and others 2018). Windows of the same clip a frame apart are the hard ones, and teach the offset.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from networks.puppet_sync import FRAME, SIDE, PuppetSync, Shift, cut_mouths, embed, find_shift, load_puppet_sync
from profiles.schema import OptimizerConfig
from puppets import Puppet, render
from puppets.measure import measure_mouth
from training.engine.optimizer import build_optimizer
from training.recipes.recipe import start_engine, write_record

WEIGHTS = "model.safetensors"
MARGIN = 2  # pixels around the cut, of which training takes any


@dataclass(frozen=True)
class PuppetSyncRecipe:
    """Everything that decides the weights."""

    seed: int = 8_500_000
    clips: int = 768
    frames: int = 33
    steps: int = 700
    batch: int = 8  # clips, of frames - 4 windows each
    lr: float = 2e-3
    warmup: int = 50


class _Contrast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.towers = PuppetSync()
        self.log_scale = nn.Parameter(torch.tensor([10.0]).log())

    def forward(self, mouths: Tensor, audio: Tensor) -> Tensor:
        lips, sound = self.towers.embed_lips(mouths).flatten(0, 1), self.towers.embed_sound(audio).flatten(0, 1)
        logits = self.log_scale.exp().clamp_max(50.0) * lips @ sound.T
        own = torch.arange(len(logits))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def mouths_of(person: Puppet, side: int = SIDE) -> np.ndarray:
    """`(T, side, side, 3)` uint8 around the median centre of the mouth that the pixels show."""
    return cut_mouths(person.frames, np.median(measure_mouth(person.frames).centre, axis=0), side)


def train(recipe: PuppetSyncRecipe, output: Path) -> None:
    """Train and write `model.safetensors` and `RECIPE.json` into `output`."""
    torch.manual_seed(recipe.seed)
    people = [render(recipe.seed + i, frames=recipe.frames) for i in range(recipe.clips)]
    mouths = torch.from_numpy(np.stack([mouths_of(person, SIDE + 2 * MARGIN) for person in people]))
    sounds = torch.from_numpy(np.stack([person.audio for person in people if person.audio is not None]))
    model = _Contrast()
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(name="adamw", lr=recipe.lr))
    engine = start_engine(model, optimizer, recipe.batch)
    started = time.time()
    for step in range(recipe.steps):
        generator = torch.Generator().manual_seed(recipe.seed + step)
        chosen = torch.randint(recipe.clips, (recipe.batch,), generator=generator)
        for group in engine.optimizer.param_groups:
            group["lr"] = recipe.lr * min(1.0, (step + 1) / recipe.warmup) * (1 - step / recipe.steps)
        loss = engine(_seen_otherwise(mouths[chosen], generator), _heard_otherwise(sounds[chosen], generator))
        engine.backward(loss)
        engine.step()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.towers.state_dict().items()}
    save_file(weights, output / WEIGHTS, metadata={"format": "pt"})
    command = f"deepspeed --num_gpus 1 training/recipes/puppet_sync.py --output {output.as_posix()}"
    write_record(output, command, recipe, time.time() - started, score(output))


def _seen_otherwise(mouths: Tensor, generator: torch.Generator) -> Tensor:
    """`(B, T, 20, 20, 3)` uint8 to `(B, T, 16, 16, 3)` in [0, 1]: cut elsewhere, brighter or darker, with noise."""
    top, left = torch.randint(2 * MARGIN + 1, (2,), generator=generator).tolist()
    cut = mouths[:, :, top : top + SIDE, left : left + SIDE].float() / 255
    gain = torch.empty(len(cut), 1, 1, 1, 1).uniform_(0.8, 1.2, generator=generator)
    noise = torch.randn(cut.shape, generator=generator) * torch.rand(len(cut), 1, 1, 1, 1, generator=generator) * 0.03
    return (cut * gain + noise).clamp(0, 1)


def _heard_otherwise(sounds: Tensor, generator: torch.Generator) -> Tensor:
    """`(B, S)`, up to 6 dB quieter or 3 dB louder."""
    decibels = torch.empty(len(sounds), 1).uniform_(-6.0, 3.0, generator=generator)
    return sounds * 10 ** (decibels / 20)


def score(folder: Path, seed: int = 9_000_000, clips: int = 64, frames: int = 33, lags: int = 5) -> dict[str, float]:
    """Held-out puppets with the sound moved by -3 to 3 frames, and with another puppet's sound.

    Returns:
        `offset_exact` and `offset_within_one_frame` (shares), `confidence_own` (5 % quantile), `confidence_other` (95 %
        quantile), and `auc` of telling own from other sound by confidence.
    """
    network = load_puppet_sync(folder / WEIGHTS)
    people = [render(seed + i, frames=frames) for i in range(clips)]
    moved = [index % 7 - 3 for index in range(clips)]
    own_shifts = [_shift(network, person, _moved(person, by), lags) for person, by in zip(people, moved, strict=True)]
    own = [shift.confidence for shift in own_shifts]
    other = [
        _shift(network, person, _moved(people[index - 1], 0), lags).confidence for index, person in enumerate(people)
    ]
    errors = np.abs([shift.offset - by for shift, by in zip(own_shifts, moved, strict=True)])
    above = np.mean(np.array(own)[:, None] > np.array(other)[None])
    return {
        "offset_exact": round(float(np.mean(errors == 0)), 4),
        "offset_within_one_frame": round(float(np.mean(errors <= 1)), 4),
        "confidence_own": round(float(np.quantile(own, 0.05)), 4),
        "confidence_other": round(float(np.quantile(other, 0.95)), 4),
        "auc": round(float(above), 4),
    }


def _shift(network: PuppetSync, person: Puppet, sound: np.ndarray, lags: int) -> Shift:
    return find_shift(*embed(network, mouths_of(person), sound), lags)


def _moved(person: Puppet, frames: int) -> np.ndarray:
    """The puppet's sound, early by so many frames, so that the mouth comes after it."""
    assert person.audio is not None
    return np.roll(person.audio, -frames * FRAME)


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the weights and their recipe")
    parser.add_argument("--steps", type=int, default=PuppetSyncRecipe.steps)
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    train(PuppetSyncRecipe(steps=arguments.steps), arguments.output)


if __name__ == "__main__":
    main()
