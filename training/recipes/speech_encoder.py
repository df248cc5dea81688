"""Train the laptop profile's tiny wav2vec 2.0 on puppet speech, through the DeepSpeed engine.

Architecture and on-disk layout are transformers' `Wav2Vec2Model`; the objective is not wav2vec 2.0's contrastive one:
a linear head on every hidden state regresses log band energies and loudness of the sound around it. Wan2.1 profiles take
`facebook/wav2vec2-base-960h` or -large by path.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from omnihuman.conditions.audio import AudioEncoder
from profiles.schema import OptimizerConfig
from puppets.speech import draw_speech, mouth_opening
from training.engine.optimizer import build_optimizer
from training.recipes.recipe import start_engine, write_record

SAMPLES = 25_000
BANDS = 16


@dataclass(frozen=True)
class SpeechEncoderRecipe:
    """Everything that decides the weights."""

    seed: int = 8_000_000
    clips: int = 1024
    steps: int = 500
    batch: int = 16
    lr: float = 2e-3
    warmup: int = 50


def tiny_config() -> Wav2Vec2Config:
    """Four hidden states of width 64 at 50 Hz. Layer norm with bias keeps absolute loudness, which group norm removes."""
    return Wav2Vec2Config(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32,) * 7,
        feat_extract_norm="layer",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        vocab_size=32,
    )


class _WithHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Wav2Vec2Model(tiny_config())
        self.heads = nn.ModuleList(nn.Linear(64, BANDS + 1) for _ in range(4))

    def forward(self, sound: Tensor, target: Tensor) -> Tensor:
        states = self.encoder(sound, output_hidden_states=True).hidden_states
        return torch.stack([(head(s) - target).abs().mean() for head, s in zip(self.heads, states, strict=True)]).mean()


def band_targets(sound: Tensor) -> Tensor:
    """`(B, S)` to `(B, T50, 17)`: log energy in 16 bands up to 4 kHz and log RMS, over the 400 samples of each state."""
    windows = sound.unfold(1, 400, 320)
    spectrum = torch.fft.rfft(windows * torch.hann_window(400), dim=-1).abs().square()
    edges = torch.linspace(1, 101, BANDS + 1).long()
    bands = torch.stack([spectrum[..., a:b].mean(-1) for a, b in zip(edges[:-1], edges[1:], strict=True)], dim=-1)
    loudness = windows.square().mean(-1, keepdim=True).sqrt()
    return torch.cat([torch.log10(bands + 1e-3), 4 * torch.log10(loudness + 1e-2)], dim=-1)


class SoundRecipe(Protocol):
    """What `fit` asks of a recipe."""

    @property
    def seed(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def lr(self) -> float: ...

    @property
    def warmup(self) -> int: ...


def fit(
    model: nn.Module, sounds: Tensor, recipe: SoundRecipe, targets: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
) -> float:
    """Train by AdamW on sounds of random gain; returns the seconds.

    Args:
        model: gives the loss of sounds and their targets.
        sounds: `(N, S)`.
        recipe: how.
        targets: of `(B, S)` sounds and their `(B,)` places in `sounds`.
    """
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(name="adamw", lr=recipe.lr))
    engine = start_engine(model, optimizer, recipe.batch)
    started = time.time()
    for step in range(recipe.steps):
        generator = torch.Generator().manual_seed(recipe.seed + step)
        gain = 10 ** torch.empty(recipe.batch, 1).uniform_(-0.7, 0.3, generator=generator)
        chosen = torch.randint(len(sounds), (recipe.batch,), generator=generator)
        sound = sounds[chosen] * gain
        for group in engine.optimizer.param_groups:
            group["lr"] = recipe.lr * min(1.0, (step + 1) / recipe.warmup) * (1 - step / recipe.steps)
        loss = engine(sound, *targets(sound, chosen))
        engine.backward(loss)
        engine.step()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
    return time.time() - started


def save_encoder(encoder: Wav2Vec2Model, output: Path) -> None:
    """Write transformers' layout. It hears how loud a sound is, which opens a mouth: nothing is normalised."""
    output.mkdir(parents=True, exist_ok=True)
    encoder.config.save_pretrained(output)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False).save_pretrained(output)
    weights = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})


def train(recipe: SpeechEncoderRecipe, output: Path) -> None:
    """Train and write `config.json`, `model.safetensors` and `RECIPE.json` into `output`."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    sounds = torch.from_numpy(np.stack([draw_speech(rng, SAMPLES, rng.uniform(95, 230)) for _ in range(recipe.clips)]))
    model = _WithHeads()
    seconds = fit(model, sounds, recipe, lambda sound, _: (band_targets(sound),))
    save_encoder(model.encoder, output)
    command = f"deepspeed --num_gpus 1 training/recipes/speech_encoder.py --output {output.as_posix()}"
    write_record(output, command, recipe, seconds, score(output))


def score(path: Path, seed: int = 9_000_000, clips: int = 128) -> dict[str, float]:
    """Linear read-out of mouth opening from the states: correlation on held-out speech, fitted on other held-out speech."""
    rng = np.random.default_rng(seed)
    sounds = np.stack([draw_speech(rng, SAMPLES, rng.uniform(95, 230)) for _ in range(clips)])
    states = AudioEncoder(path).encode(torch.from_numpy(sounds), 25, 16.0).flatten(2).numpy()
    opening = np.stack([mouth_opening(sound, 25, 16.0) for sound in sounds])
    half = clips // 2
    design = np.concatenate([states, np.ones_like(states[..., :1])], axis=-1)
    fit, *_ = np.linalg.lstsq(design[:half].reshape(-1, design.shape[-1]), opening[:half].ravel(), rcond=None)
    predicted = design[half:].reshape(-1, design.shape[-1]) @ fit
    return {"mouth_opening_linear_correlation": round(float(np.corrcoef(predicted, opening[half:].ravel())[0, 1]), 4)}


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the transformers-layout encoder")
    parser.add_argument("--steps", type=int, default=SpeechEncoderRecipe.steps)
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    train(SpeechEncoderRecipe(steps=arguments.steps), arguments.output)


if __name__ == "__main__":
    main()
