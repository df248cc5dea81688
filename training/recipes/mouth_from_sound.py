"""Fit `networks/mouth_from_sound.py` on speech whose mouth is known, through the DeepSpeed engine. Minutes on one core.

Half of the speech has noise or music under it; the openings are those of `people.speech`, to mean 0 and variance 1 over all.
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

from networks.mouth_from_sound.predictor import BANDS, HIDDEN, MOMENTS, WEIGHTS, load_mouth_from_sound, sound_features
from people.speech.dubbing import lay_under, music, noise
from people.speech.pack import Utterance, utterance
from people.speech.recordings import Split
from people.speech.visemes import face_units, opening
from profiles.schema import OptimizerConfig
from training.engine.optimizer import build_optimizer
from training.recipes.recipe import start_engine, write_record


@dataclass(frozen=True)
class MouthFromSoundRecipe:
    """Everything that decides the weights."""

    seed: int = 0
    utterances: int = 800
    seconds: float = 5.0
    fps: float = 40.0  # moments a second at which mouths and sounds are taken
    steps: int = 4000
    batch: int = 512
    lr: float = 4e-3
    warmup: int = 200
    jitter: float = 0.1  # deviation of what is added to features


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(BANDS * len(MOMENTS), HIDDEN), nn.Linear(HIDDEN, 1)

    def forward(self, features: Tensor, openings: Tensor) -> Tensor:
        return F.mse_loss(self.out(F.silu(self.hidden(features)))[:, 0], openings)


def heard(said: Utterance, seed: int) -> np.ndarray:
    """`(S,)` sound of an utterance, every other one with noise or music 15 to 40 dB under the speech."""
    rng = np.random.default_rng([seed, 1])
    if seed % 2:
        return said.audio
    bed = (noise, music)[seed // 2 % 2](rng, len(said.audio))
    return lay_under(said.audio, bed, rng.uniform(15, 40))


def samples(recipe: MouthFromSoundRecipe) -> tuple[Tensor, Tensor]:
    """`(N, features)` and `(N,)` openings to mean 0 and variance 1, float32."""
    frames = round(recipe.seconds * recipe.fps)
    features, openings = [], []
    for seed in range(recipe.seed, recipe.seed + recipe.utterances):
        said = utterance(seed, recipe.seconds)
        features.append(sound_features(heard(said, seed), (np.arange(frames) + 0.5) / recipe.fps))
        openings.append(opening(face_units(said, recipe.fps, frames)))
    mouths = np.concatenate(openings)
    return (
        torch.from_numpy(np.concatenate(features)).float(),
        torch.from_numpy((mouths - mouths.mean()) / mouths.std()).float(),
    )


def train(recipe: MouthFromSoundRecipe, output: Path) -> None:
    """Train and write the weights and `RECIPE.json` into `output`."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    features, openings = samples(recipe)
    model = _Perceptron()
    engine = start_engine(
        model, build_optimizer(model.named_parameters(), OptimizerConfig(name="adamw", lr=recipe.lr)), recipe.batch
    )
    started = time.time()
    for step in range(recipe.steps):
        generator = torch.Generator().manual_seed(recipe.seed + step)
        chosen = torch.randint(len(features), (recipe.batch,), generator=generator)
        for group in engine.optimizer.param_groups:
            group["lr"] = recipe.lr * min(1.0, (step + 1) / recipe.warmup) * (1 - step / recipe.steps)
        added = recipe.jitter * torch.randn(recipe.batch, features.shape[1], generator=generator)
        loss = engine(features[chosen] + added, openings[chosen])
        engine.backward(loss)
        engine.step()
        if step % 500 == 0:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    hidden, out = model.hidden, model.out
    weights = {"hidden": hidden.weight.data, "hidden_bias": hidden.bias.data, "out": out.weight.data[0].contiguous()}
    save_file(weights, output / WEIGHTS.name, metadata={"format": "pt"})
    command = f"deepspeed --num_gpus 1 training/recipes/mouth_from_sound.py --output {output.as_posix()}"
    found = {f"r_{split}": correlation(output / WEIGHTS.name, split, seed=1_000_000) for split in ("train", "held_out")}
    write_record(output, command, recipe, time.time() - started, found)


def correlation(weights: Path, split: Split, seed: int, clips: int = 100, fps: float = 16.0, frames: int = 81) -> float:
    """Mean over clips of r between mouth and prediction, on utterances that training has not heard."""
    predict = load_mouth_from_sound(weights)
    found = []
    for number in range(seed, seed + clips):
        said = utterance(number, frames / fps, split=split)
        mouth = opening(face_units(said, fps, frames))
        found.append(np.corrcoef(predict(said.audio, fps, frames), mouth)[0, 1])
    return round(float(np.mean(found)), 4)


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=WEIGHTS.parent)
    parser.add_argument("--local_rank", type=int, default=0, help="set by the launcher")
    train(MouthFromSoundRecipe(), parser.parse_args().output)


if __name__ == "__main__":
    main()
