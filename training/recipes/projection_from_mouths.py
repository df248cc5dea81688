"""Teach a transformer's audio projection what mouths do before it sees any: `python -m training.recipes.projection_from_mouths FOLDER --encoder SPEECH`.

A projection from random weights hands on everything that a speech encoder hears, and of that the mouth is a tenth; the flow's loss, which mouths are a
small part of, takes long to find it. Here the tokens learn first to tell the units of the mouth that says the speech pack's phones, in a latent's own
frames, through a linear head that is thrown away. The rest of the transformer is not touched. A minute of one core.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from media.files import whole_directory
from omnihuman.conditions.audio import AudioEncoder
from omnihuman.latents import fold_frames_into_latents
from omnihuman.pipeline import load_transformer
from people.speech.pack import utterance
from people.speech.recordings import Split
from people.speech.visemes import UNITS, face_units, opening
from profiles import resolve_source
from training.recipes.recipe import write_record


@dataclass(frozen=True)
class ProjectionRecipe:
    """Everything that decides the weights, with the encoder and the transformer."""

    seed: int = 40_000
    utterances: int = 1500
    held_out: int = 100
    fps: float = 16.0
    frames: int = 33
    steps: int = 800
    batch: int = 32
    lr: float = 2e-3


def heard_and_seen(recipe: ProjectionRecipe, encoder: AudioEncoder, split: Split, count: int) -> tuple[Tensor, Tensor]:
    """`(N, T, K, D)` states and `(N, T, UNITS + 1)` units of the mouth, its opening last."""
    states, mouths = [], []
    for start in range(recipe.seed, recipe.seed + count, 50):
        numbers = range(start, min(start + 50, recipe.seed + count))
        said = [utterance(number, recipe.frames / recipe.fps, split=split) for number in numbers]
        sounds = torch.from_numpy(np.stack([one.audio for one in said])).float()
        states.append(encoder.encode(sounds, recipe.frames, recipe.fps))
        units = [face_units(one, recipe.fps, recipe.frames) for one in said]
        mouths += [np.concatenate([one, opening(one)[:, None]], axis=1) for one in units]
    return torch.cat(states), torch.from_numpy(np.stack(mouths)).float()


def teach(projection: nn.Module, states: Tensor, mouths: Tensor, recipe: ProjectionRecipe) -> nn.Module:
    """Train the projection in place and a linear head, which is returned; `mouths` have mean 0 and deviation 1."""
    torch.manual_seed(recipe.seed)
    stride, width = projection.slot_embedding.shape  # type: ignore[union-attr,misc]
    head = nn.Linear(int(width), mouths.shape[-1])
    optimizer = torch.optim.AdamW([*projection.parameters(), *head.parameters()], recipe.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    for _ in range(recipe.steps):
        chosen = torch.randint(len(states), (recipe.batch,))
        told = head(projection(states[chosen]))
        loss = (told - fold_frames_into_latents(mouths[chosen], 1, int(stride))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


@torch.no_grad()
def mouth_r(projection: nn.Module, head: nn.Module, states: Tensor, mouths: Tensor) -> float:
    """Mean over clips of r between the opening and what is told of it, frame 0 left out."""
    told = head(projection(states))[:, 1:, :, -1].flatten(1).numpy()
    seen = mouths[:, 1:, -1].numpy()
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in zip(told, seen, strict=True)]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path, help="folder of the transformer")
    parser.add_argument("output", type=Path)
    parser.add_argument("--encoder", default="profile:people/wav2vec2")
    parser.add_argument("--steps", type=int, default=ProjectionRecipe.steps)
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe, model = ProjectionRecipe(steps=args.steps), load_transformer(args.start)
    encoder, started = AudioEncoder(resolve_source(args.encoder)), time.time()
    states, mouths = heard_and_seen(recipe, encoder, "train", recipe.utterances)
    mean, deviation = mouths.mean(dim=(0, 1)), mouths.std(dim=(0, 1)).clamp_min(1e-3)
    head = teach(model.audio_projection, states, (mouths - mean) / deviation, recipe)
    read = mouth_r(model.audio_projection, head, *heard_and_seen(recipe, encoder, "held_out", recipe.held_out))
    command = f"python -m training.recipes.projection_from_mouths START {args.output.name} --encoder {args.encoder}"
    with whole_directory(args.output) as folder:
        model.save_pretrained(folder)
        write_record(
            folder,
            command,
            recipe,
            time.time() - started,
            {"mouth_opening_r": round(read, 4)},
            units=[*UNITS, "opening"],
        )


if __name__ == "__main__":
    main()
