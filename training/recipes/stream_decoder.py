"""Train the laptop's decoder on latents in a row, for streams, through the DeepSpeed engine; a second call goes on where the first ended.

`deepspeed --num_gpus 1 --module training.recipes.stream_decoder --work FOLDER --output FOLDER`

The laptop's autoencoder was trained on 17 frames, five latents, and each of its causal convolutions then looks back to where the video begins. In a stream it does not,
and what it draws there nobody had compared with anything (docs/results/2026-12-01-stream-decoder.md). Here whole videos are decoded as a stream decodes them, a piece of
a few latents at a time: an update for each, and features of the pieces before are taken as given. The encoder stays as it is, so every latent and every transformer fits.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from media.weights import fill
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from omnihuman.placement import computes_in_bfloat16
from omnihuman.streaming.decoder import StreamDecoder
from profiles import resolve_source
from profiles.schema import OptimizerConfig
from puppets import render
from training.engine.convolutions import flatten_convolutions, restore_convolutions
from training.engine.optimizer import build_optimizer
from training.recipes.autoencoder import (
    move_average,
    rate_scale,
    reconstruction,
    render_corpus,
    save_autoencoder,
    weighted_l1,
)
from training.recipes.recipe import keep_latest, start_engine, write_record

SOURCE = "profile:laptop/autoencoder"
WINDOW = 5  # latents of a training's window
REMEDY = "begin again with an empty --work folder"


@dataclass(frozen=True)
class StreamDecoderRecipe:
    """Everything that decides the weights.

    Attributes:
        clips, frames: rendered puppets, and 4n+1 frames of each: the decoder looks back over some twenty latents, so 33 have all that a stream ever has.
        rows: batches of whole videos.
        batch: videos of one.
        piece: latents of an update; the first of a video has one more.
        windows: share of the batches whose windows are encoded each by itself, as a snapshot's are; the others are encoded whole. A streaming student's
            latents are those of a video encoded whole: each stands where a window's last stood.
        muon_lr, adam_lr, mouth_weight, saturation_weight: as the autoencoder's last run.
        warmup: updates.
    """

    seed: int = 7_500_000
    clips: int = 512
    frames: int = 129
    rows: int = 320
    batch: int = 4
    piece: int = 4
    windows: float = 0.25
    muon_lr: float = 0.008
    adam_lr: float = 8e-4
    mouth_weight: float = 6.0
    saturation_weight: float = 4.0
    warmup: int = 50

    @property
    def updates_of_a_row(self) -> int:
        """How many pieces a video has."""
        return (self.frames // 4) // self.piece


def encode_row(autoencoder: torch.nn.Module, pixels: Tensor, windows: bool) -> Tensor:
    """Normalised latents `(B, C, n+1, h, w)` of `(B, 3, 4n+1, H, W)`: encoded whole, or (`windows`) of windows of 17 frames that are each encoded by itself."""
    if not windows:
        return encode_video(autoencoder, pixels)
    step = 4 * (WINDOW - 1)
    parts = [encode_video(autoencoder, pixels[:, :, at : at + step + 1]) for at in range(0, pixels.shape[2] - 1, step)]
    return torch.cat([parts[0], *(part[:, :, 1:] for part in parts[1:])], dim=2)


def pieces_of(latents: int, piece: int) -> Iterator[tuple[slice, slice]]:
    """Of a row of 1 + k * piece latents, each piece and its frames; the first has the latent of one frame too."""
    for start in range(1, latents, piece):
        first, stop = (0 if start == 1 else start), start + piece
        yield slice(first, stop), slice(max(0, 4 * first - 3), 4 * stop - 3)


class StreamDecoderTraining:
    """A training that can be interrupted between rows: decoder, average, optimiser, row and seconds lie in `work`."""

    def __init__(self, recipe: StreamDecoderRecipe, corpus: Tensor, work: Path, source: str = SOURCE):
        torch.manual_seed(recipe.seed)
        self.recipe, self.corpus, self.work, self.source = recipe, corpus, work, source
        self.row, self.seconds = 0, 0.0
        self.model = load_autoencoder(resolve_source(source), torch.float32)
        for part in (self.model.post_quant_conv, self.model.decoder):
            part.requires_grad_(True)
            flatten_convolutions(part)
        learned = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        settings = OptimizerConfig(name="muon", lr=recipe.muon_lr, adam_lr=recipe.adam_lr)
        self.engine = start_engine(self.model, build_optimizer(learned, settings), recipe.batch)
        self.rates = [group["lr"] for group in self.engine.optimizer.param_groups]
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        if (work / "latest").exists():
            _, state = self.engine.load_checkpoint(str(work))
            self.row, self.seconds, self.average = state["row"], state["seconds"], state["average"]

    def advance(self) -> list[float]:
        """A row of videos: an update for each piece, and its loss."""
        recipe, started, losses = self.recipe, time.time(), []
        generator = torch.Generator().manual_seed(recipe.seed + self.row)
        chosen = torch.randint(len(self.corpus), (recipe.batch,), generator=generator)
        windows = bool(torch.rand(1, generator=generator) < recipe.windows)
        pixels, decoder = to_pixels(self.corpus[chosen]), StreamDecoder(self.model)
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()):
            latents = encode_row(self.model, pixels, windows)
        for index, (piece, frames) in enumerate(pieces_of(latents.shape[2], recipe.piece)):
            update = self.row * recipe.updates_of_a_row + index
            scale = rate_scale(update, recipe.rows * recipe.updates_of_a_row, recipe.warmup)
            for group, rate in zip(self.engine.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * scale
            with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()):
                decoded = decoder.decode_with_gradient(latents[:, :, piece])
                loss = weighted_l1(decoded, pixels[:, :, frames], recipe.mouth_weight, recipe.saturation_weight)
            self.engine.backward(loss)
            self.engine.step()
            move_average(self.average, self.model, update)
            losses.append(loss.item())
        self.row += 1
        self.seconds += time.time() - started
        return losses

    def save(self) -> None:
        """Keep everything that a later call needs; the one before is removed once this one is whole."""
        state = {"row": self.row, "seconds": self.seconds, "average": self.average}
        self.engine.save_checkpoint(str(self.work), tag=f"row-{self.row}", client_state=state)
        keep_latest(self.work)

    def averaged(self) -> AutoencoderKLWan:
        """A copy of the autoencoder with the averaged decoder, for inference."""
        copy: AutoencoderKLWan = load_autoencoder(resolve_source(self.source), torch.float32)
        convolutions = [*flatten_convolutions(copy.post_quant_conv), *flatten_convolutions(copy.decoder)]
        fill(copy, self.average, "the averaged weights", REMEDY)
        restore_convolutions(convolutions)
        return copy.eval().requires_grad_(False)


def train(recipe: StreamDecoderRecipe, work: Path, output: Path, every: int = 10) -> None:
    """Train to the recipe's end, keeping the state every so many rows; write a whole autoencoder and `RECIPE.json` into `output`."""
    corpus = render_corpus(recipe.seed, recipe.clips, recipe.frames)
    training = StreamDecoderTraining(recipe, corpus, work)
    while training.row < recipe.rows:
        losses = training.advance()
        if training.row % every == 0 or training.row == recipe.rows:
            training.save()
            shown = " ".join(f"{loss:.4f}" for loss in losses)
            print(f"row {training.row}/{recipe.rows} losses {shown} {training.seconds:.0f} s", flush=True)
    save_autoencoder(training.averaged(), output)
    command = (
        f"deepspeed --num_gpus 1 --module training.recipes.stream_decoder --work FOLDER --output {output.as_posix()}"
    )
    scores = {f"{when} {name}": value for when, part in score(output).items() for name, value in part.items()}
    write_record(output, command, recipe, training.seconds, scores, started_from=SOURCE)


def score(path: Path | str, seed: int = 9_000_000, clips: int = 32, frames: int = 97) -> dict[str, dict[str, float]]:
    """`reconstruction` of held-out puppets decoded in a row, of their first and their last 16 frames."""
    autoencoder = load_autoencoder(path)
    puppets = [render(s, frames=frames) for s in range(seed, seed + clips)]
    truth = torch.from_numpy(np.stack([p.frames for p in puppets]))
    decoded = torch.cat(
        [to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(part)))) for part in truth.split(8)]
    )
    return {
        when: reconstruction(
            decoded[:, part],
            truth[:, part],
            [p.opening[part] for p in puppets],
            [p.joints[part] for p in puppets],
            [p.colours for p in puppets],
        )
        for when, part in (("first", slice(1, 17)), ("last", slice(frames - 16, frames)))
    }


def main() -> None:
    """Command line, started by the DeepSpeed launcher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the training's state, to go on from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the diffusers-layout autoencoder")
    parser.add_argument("--rows", type=int, default=StreamDecoderRecipe.rows)
    parser.add_argument("--muon-lr", type=float, default=StreamDecoderRecipe.muon_lr)
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    recipe = StreamDecoderRecipe(rows=arguments.rows, muon_lr=arguments.muon_lr, adam_lr=arguments.muon_lr / 10)
    train(recipe, arguments.work, arguments.output)


if __name__ == "__main__":
    main()
