"""Train the people profile's tiny wav2vec 2.0 on the speech pack, through the DeepSpeed engine. Minutes on one core.

Architecture and on-disk layout are those of the laptop profile's (`speech_encoder`), and so is the objective but for what it is about: besides
log band energies and loudness, a linear head on every hidden state regresses the mouth's units that the phones give, of speech with gain, noise
and music. The puppets' speech has no phones; an encoder of it has no use for what tells an M from an N.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from omnihuman.conditions.audio import AudioEncoder
from people.speech.pack import Utterance, utterance
from people.speech.recordings import Split
from people.speech.visemes import UNITS, face_units, opening
from training.recipes.mouth_from_sound import heard
from training.recipes.recipe import write_record
from training.recipes.speech_encoder import BANDS, band_targets, fit, save_encoder, tiny_config

RATE = 50.0  # states a second; state i hears samples 320 i to 320 i + 400
RIDGE = 10.0


@dataclass(frozen=True)
class PeopleSpeechEncoderRecipe:
    """Everything that decides the weights."""

    seed: int = 20_000
    utterances: int = 1500
    seconds: float = 2.0
    steps: int = 1500
    batch: int = 16
    lr: float = 2e-3
    warmup: int = 100
    mouth_weight: float = 2.0  # of the units, each to deviation 1, beside bands and loudness


class _WithHeads(nn.Module):
    def __init__(self, mouth_weight: float) -> None:
        super().__init__()
        config = tiny_config()
        self.encoder, self.mouth_weight = Wav2Vec2Model(config), mouth_weight
        self.heads = nn.ModuleList(
            nn.Linear(config.hidden_size, BANDS + 1 + len(UNITS) + 1) for _ in range(config.num_hidden_layers + 1)
        )

    def forward(self, sound: Tensor, bands: Tensor, mouths: Tensor) -> Tensor:
        states = self.encoder(sound, output_hidden_states=True).hidden_states
        losses = []
        for head, state in zip(self.heads, states, strict=True):
            told = head(state)
            losses.append((told[..., : BANDS + 1] - bands).abs().mean())
            losses.append(self.mouth_weight * (told[..., BANDS + 1 :] - mouths).abs().mean())
        return torch.stack(losses).sum() / len(self.heads)


def mouths_of(said: Utterance, states: int) -> np.ndarray:
    """`(states, len(UNITS) + 1)` float32: units and opening of the base face at the middle of what each state hears."""
    # Middles of frames at 200 a second lie at (i + 0.5) / 200 s; a state's middle is (320 i + 200) / 16000 s, the third of each four.
    units = face_units(said, 4 * RATE, 4 * states)[2::4]
    return np.concatenate([units, opening(units)[:, None]], axis=1).astype(np.float32)


def samples(recipe: PeopleSpeechEncoderRecipe) -> tuple[Tensor, Tensor]:
    """`(N, S)` sounds, half of them with noise or music, and `(N, T50, len(UNITS) + 1)` mouths to mean 0 and deviation 1 over all."""
    sounds, mouths = [], []
    states = (round(recipe.seconds * 16_000) - 400) // 320 + 1
    for seed in range(recipe.seed, recipe.seed + recipe.utterances):
        said = utterance(seed, recipe.seconds)
        sounds.append(heard(said, seed))
        mouths.append(mouths_of(said, states))
    stacked = np.stack(mouths)
    mean, deviation = stacked.mean(axis=(0, 1)), stacked.std(axis=(0, 1))
    return (
        torch.from_numpy(np.stack(sounds)).float(),
        torch.from_numpy((stacked - mean) / np.maximum(deviation, 1e-3)).float(),
    )


def train(recipe: PeopleSpeechEncoderRecipe, output: Path) -> None:
    """Train and write `config.json`, `model.safetensors` and `RECIPE.json` into `output`."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    sounds, mouths = samples(recipe)
    model = _WithHeads(recipe.mouth_weight)
    seconds = fit(model, sounds, recipe, lambda sound, chosen: (band_targets(sound), mouths[chosen]))
    save_encoder(model.encoder, output)
    command = f"deepspeed --num_gpus 1 --module training.recipes.people_speech_encoder --output {output.as_posix()}"
    write_record(output, command, recipe, seconds, readout(output))


def readout(
    path: Path, seed: int = 1_000_000, clips: int = 150, fps: float = 16.0, frames: int = 33
) -> dict[str, float]:
    """How much of the mouth a ridge regression reads from an encoder's states, at the frames of a video.

    Args:
        path: of a wav2vec 2.0 in transformers' layout.
        seed: of the utterances; those that the recipe trained on are others.
        clips: that the regression is fitted on, of the voices and sentences for training; half as many held-out ones measure it.
        fps: of the video.
        frames: of each clip.

    Returns:
        Means over held-out clips of r between opening and read-out: in time, and one frame before and after.
    """
    encoder = AudioEncoder(path)

    def heard_and_seen(split: Split, count: int) -> tuple[np.ndarray, np.ndarray]:
        said = [utterance(number, frames / fps, split=split) for number in range(seed, seed + count)]
        sounds = torch.from_numpy(np.stack([one.audio for one in said])).float()
        states = torch.cat([encoder.encode(part, frames, fps) for part in sounds.split(16)]).flatten(2).numpy()
        return states, np.stack([opening(face_units(one, fps, frames)) for one in said])

    states, mouths = heard_and_seen("train", clips)
    mean, deviation = states.mean(axis=(0, 1)), states.std(axis=(0, 1)) + 1e-6
    rows, centre = ((states - mean) / deviation).reshape(-1, states.shape[-1]), mouths.mean()
    fit = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(rows.shape[1]), rows.T @ (mouths.ravel() - centre))
    states, mouths = heard_and_seen("held_out", clips // 2)
    told = (states - mean) / deviation @ fit

    def correlation(lag: int) -> float:
        length = frames - abs(lag)
        pairs = zip(mouths[:, max(lag, 0) :][:, :length], told[:, max(-lag, 0) :][:, :length], strict=True)
        return round(float(np.mean([np.corrcoef(mouth, sound)[0, 1] for mouth, sound in pairs])), 4)

    return {"mouth_opening_r": correlation(0), "a_frame_before": correlation(-1), "a_frame_after": correlation(1)}


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("profiles/people/wav2vec2"),
        help="folder for the transformers-layout encoder",
    )
    parser.add_argument("--steps", type=int, default=PeopleSpeechEncoderRecipe.steps)
    parser.add_argument("--read", type=Path, nargs="+", help="train nothing: print what is read from these encoders")
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        for folder in arguments.read:
            print(folder, readout(folder), flush=True)
    else:
        train(PeopleSpeechEncoderRecipe(steps=arguments.steps), arguments.output)


if __name__ == "__main__":
    main()
