"""Train the networks of `learned_mark` on rendered people: `python -m benchmarks.provenance.train_learned_mark --keep FOLDER`.

Writes FOLDER/mark-network.safetensors. People of seeds that no trial shows. What an encoder, a smaller size and a cut do to a mark stands in for by what can be
differentiated: a transform of 8 by 8 pixels whose small coefficients go, noise, a blur by scaling down and up, another scale and place.
"""

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.provenance.learned_mark import CELL, CELLS, Decoder, Encoder, LearnedMark, tile_of
from people import render
from provenance.watermark.pattern import SIDE, TILE
from provenance.watermark.payload import CODED

FIRST_SEED, FRAMES = 71_000_000, 5
WARM_UP = 150  # steps until edits are as strong as they get
NEAR = 0.15  # logarithm of the scales that the decoder meets
FILE = "mark-network.safetensors"


def pictures_of(clips: int, keep: Path) -> np.ndarray:
    """`(clips, SIDE, SIDE)` uint8: the mean luminance of each clip, as the encoder sees it."""
    file = keep / f"mark-training-{clips}.npy"
    if file.is_file():
        known: np.ndarray = np.load(file)
        return known
    made = []
    for seed in range(FIRST_SEED, FIRST_SEED + clips):
        frames = render(seed, frames=FRAMES, size=SIDE).frames
        made.append(np.mean([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in frames], axis=0).astype(np.uint8))
    np.save(file, np.stack(made))
    return np.stack(made)


def batch_of(pictures: np.ndarray, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`(count, 1, TILE, TILE)` pieces of pictures, mirrored and of another contrast; `(count, 1, CELLS, CELLS)` symbols."""
    pieces = []
    for _ in range(count):
        top, left = random.integers(0, SIDE - TILE + 1, 2)
        piece = pictures[random.integers(len(pictures)), top : top + TILE, left : left + TILE].astype(np.float32)
        piece = piece[:, :: random.choice([-1, 1])]
        contrast = random.uniform(0.6, 1.3)
        pieces.append(np.clip(contrast * piece + random.uniform(-40, 40) * abs(1 - contrast), 0, 255))
    symbols = np.stack([tile_of(random.choice([-1.0, 1.0], CODED)) for _ in range(count)])
    return torch.from_numpy(np.stack(pieces))[:, None], torch.from_numpy(symbols).float()[:, None]


def edited(pictures: Tensor, strength: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pictures as somebody may send them, and `(B, CELLS, CELLS, 2)`: where the middles of their cells lie then, as `grid_sample` counts.

    Args:
        pictures: `(B, 1, TILE, TILE)` with marks, in levels of 255.
        strength: 0 to 1, how far edits may go.
        random: which ones.
    """
    count = len(pictures)
    pictures = pictures + (pictures.round().clamp(0, 255) - pictures).detach()
    if random.random() < 0.5:
        side = 2 * round(TILE * (1 - 0.25 * strength) / 2)
        pictures = functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
    if random.random() < 0.7:
        pictures = _encoded(pictures, strength * math.exp(random.uniform(math.log(4), math.log(30))))
    pictures = functional.interpolate(pictures, size=(TILE, TILE), mode="bicubic", antialias=True)
    scale = torch.from_numpy(np.exp(random.uniform(-NEAR, NEAR, (count, 1, 1)) * strength)).float()
    shift = torch.from_numpy(random.uniform(-0.1, 0.1, (count, 1, 2))).float()
    across = (torch.arange(TILE) + 0.5) * 2 / TILE - 1
    grid = torch.stack(torch.meshgrid(across, across, indexing="xy"), -1)[None] * scale[..., None] + shift[..., None, :]
    pictures = functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    middles = (torch.arange(CELLS) + 0.5) * 2 / CELLS - 1
    places = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), -1)[None]
    return pictures, (places - shift[..., None, :]) / scale[..., None]


def _encoded(pictures: Tensor, step: float) -> Tensor:
    """What an encoder leaves with this quantiser: coefficients under about two thirds of it go, others are wrong by up to a half."""
    height, width = (side // 8 * 8 for side in pictures.shape[-2:])
    basis = _cosines()
    blocks = pictures[..., :height, :width].unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
    turned = torch.einsum("ik,...kl,jl->...ij", basis, blocks, basis)
    kept = torch.sigmoid((turned.abs() / step - 0.65) / 0.08)
    turned = turned * kept + step * (torch.rand_like(turned) - 0.5) * kept.detach()
    blocks = torch.einsum("ki,...kl,lj->...ij", basis, turned, basis)
    made = blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)
    return functional.pad(made, (0, pictures.shape[-1] - width, 0, pictures.shape[-2] - height), mode="replicate")


def _cosines() -> Tensor:
    """`(8, 8)` of the cosine transform."""
    rows = torch.cos(math.pi * (torch.arange(8) + 0.5) * torch.arange(8)[:, None] / 8) / 2
    rows[0] /= math.sqrt(2)
    return rows


def train(pictures: np.ndarray, minutes: float, batch: int, seed: int, file: Path) -> LearnedMark:
    """Both networks together, for so many minutes of the processor; `file` has the weights of every hundredth step."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    encoder, decoder = Encoder(), Decoder()
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(weights, 2e-3, weight_decay=1e-4)
    started, step, right = time.process_time(), 0, []
    while (share := (time.process_time() - started) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * share))
        plain, cells = batch_of(pictures, batch, random)
        sent, places = edited(plain + encoder(plain, cells), min(1, step / WARM_UP), random)
        answers = decoder(sent)
        # The finder meets a cell's middle to a pixel.
        jitter = torch.from_numpy(random.uniform(-1, 1, (batch, 1, 1, 2))).float() * 2 / TILE
        read = functional.grid_sample(answers, places + jitter, align_corners=False)[:, 0]
        inside = places.abs().amax(-1) < 1 - CELL / TILE
        loss = functional.softplus(-cells[:, 0] * read)[inside].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        step += 1
        right.append(((read > 0) == (cells[:, 0] > 0))[inside].float().mean().item())
        if step % 100 == 0:
            print(
                f"step {step}, {100 * share:.0f} % of the time: {100 * np.mean(right[-100:]):.1f} % of single symbols right",
                flush=True,
            )
            LearnedMark(encoder, decoder).save(file)
    print(f"{step} steps")
    return LearnedMark(encoder, decoder)


def main() -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="folder for rendered pictures and the weights")
    parser.add_argument("--clips", type=int, default=128, help="rendered people")
    parser.add_argument("--minutes", type=float, default=5, help="of the processor")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file, pictures = arguments.keep / FILE, pictures_of(arguments.clips, arguments.keep)
    trained = train(pictures, arguments.minutes, arguments.batch, arguments.seed, file)
    trained.save(file)
    print(f"{file}: {trained.parameters} parameters")


if __name__ == "__main__":
    main()
