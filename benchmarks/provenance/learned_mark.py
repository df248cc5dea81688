"""A mark that a small network puts in and another reads, for comparison with ours: same payload, same code, same strength.

The coded symbols lie in cells of 8 by 8 pixels, 16 by 16 cells in a tile that repeats. The encoder sees the picture and the cells, and draws what is added; the decoder
says for every place which symbol a cell with its middle there would carry. Both see a few cells around. An eighth of the cells is always the same: by them a cut or scaled
picture is brought back into register, as ours is. Trained by `python -m benchmarks.provenance.train_learned_mark`.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from provenance.watermark.find import Found
from provenance.watermark.pattern import STRENGTH, TILE
from provenance.watermark.payload import CODED, Payload, decode, encode
from provenance.watermark.whitening import to_side

CELL = 8  # pixels
CELLS = TILE // CELL  # on each side of the tile
SEEN = 2  # pixels that one place of the networks covers: they work at half the size
THRESHOLD = 10.0  # of the score, at most 16; of 100 clips without a mark 8.73 was the highest
SCALES = np.exp(0.01 * np.arange(-16, 4))
REFINED = (-0.005, -0.0025, 0.0, 0.0025, 0.005)
TRIED = 8
LOOKED_AT = 8  # frames


class Encoder(nn.Module):
    """What is added to a picture so that its cells carry symbols."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.first = nn.Conv2d(SEEN**2 + 9, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.third = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.last = nn.Conv2d(width, SEEN**2, 3, padding=1)

    def forward(self, pictures: Tensor, cells: Tensor) -> Tensor:
        """Levels to add, `(B, 1, H, W)`, of root mean square `STRENGTH` in each picture.

        Args:
            pictures: `(B, 1, H, W)` luminance in levels of 255; H and W even.
            cells: `(B, 1, ceil(H / 8), ceil(W / 8))` symbols, -1 or 1.
        """
        height, width = (side // SEEN for side in pictures.shape[-2:])
        spread = functional.interpolate(cells, scale_factor=CELL // SEEN)[..., :height, :width]
        seen = functional.pixel_unshuffle(pictures / 64 - 2, SEEN)
        hidden = functional.leaky_relu(self.first(torch.cat([seen, spread * _waves(height, width)], 1)), 0.1)
        hidden = hidden + functional.leaky_relu(self.second(hidden), 0.1)
        hidden = hidden + functional.leaky_relu(self.third(hidden), 0.1)
        drawn = functional.pixel_shuffle(self.last(hidden), SEEN)
        drawn = drawn - drawn.mean((-2, -1), keepdim=True)
        return STRENGTH * drawn / (drawn.square().mean((-2, -1), keepdim=True).sqrt() + 1e-6)


class Decoder(nn.Module):
    """What the cells of a picture say, wherever they lie."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.first = nn.Conv2d(SEEN**2, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=step, dilation=step) for step in (2, 2, 1))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, 1, H/2, W/2)`: above 0 where a cell around that place would carry a 1.

        Args:
            pictures: `(B, 1, H, W)` luminance in levels of 255; H and W even.
        """
        around = functional.avg_pool2d(pictures, 9, 1, 4, count_include_pad=False)
        hidden = functional.leaky_relu(self.first(functional.pixel_unshuffle((pictures - around) / 8, SEEN)), 0.1)
        for layer in self.hidden:
            hidden = hidden + functional.leaky_relu(layer(hidden), 0.1)
        answer: Tensor = self.last(hidden)
        return answer


def _waves(height: int, width: int) -> Tensor:
    """`(9, height, width)`: products of a constant, a cosine and a sine along each side, one wave to a cell."""
    along = [
        torch.stack(
            [torch.ones(side), *(f(2 * torch.pi * SEEN / CELL * torch.arange(side)) for f in (torch.cos, torch.sin))]
        )
        for side in (height, width)
    ]
    return torch.einsum("ih,jw->ijhw", *along).reshape(9, height, width)


@cache
def layout() -> np.ndarray:
    """`(CELLS, CELLS)`: which coded symbol each cell of the tile carries, -1 for those that are always the same."""
    places = np.full(CELLS * CELLS, -1)
    places[:CODED] = np.arange(CODED)
    return np.random.Generator(np.random.PCG64(7)).permutation(places).reshape(CELLS, CELLS)


@cache
def _constant() -> np.ndarray:
    """`(CELLS, CELLS)` of -1 and 1: what cells say that are always the same."""
    return np.random.Generator(np.random.PCG64(8)).choice([-1.0, 1.0], (CELLS, CELLS))


def tile_of(symbols: np.ndarray) -> np.ndarray:
    """`(CELLS, CELLS)` of -1 and 1 for `(CODED,)` coded symbols."""
    return np.where(layout() < 0, _constant(), symbols[layout()])


class LearnedMark:
    """Both networks, as `provenance.watermark` has them: `mark` and `find`."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        self.encoder, self.decoder = encoder.eval(), decoder.eval()

    @property
    def parameters(self) -> int:
        """Of both together."""
        return sum(one.numel() for part in (self.encoder, self.decoder) for one in part.parameters())

    def save(self, file: Path) -> None:
        """As safetensors."""
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        save_file(
            {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}, file
        )

    @classmethod
    def load(cls, file: Path) -> "LearnedMark":
        """Of a file that `save` wrote."""
        weights, encoder, decoder = load_file(file), Encoder(), Decoder()
        for name, part in {"encoder": encoder, "decoder": decoder}.items():
            start = f"{name}."
            part.load_state_dict(
                {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
            )
        return cls(encoder, decoder)

    @torch.inference_mode()
    def mark(self, frames: np.ndarray, payload: Payload) -> np.ndarray:
        """Add the mark to a copy of `(T, H, W, 3)` uint8 RGB pictures of one film."""
        height, width = frames.shape[1:3]
        picture = _even(to_side(_mean(frames[:: max(1, len(frames) // LOOKED_AT)])))
        repeats = [-(-side // TILE) for side in picture.shape]
        cells = np.tile(tile_of(encode(payload.bits())), repeats)[None, None].astype(np.float32)
        cells = cells[..., : -(-picture.shape[0] // CELL), : -(-picture.shape[1] // CELL)]
        levels = self.encoder(torch.from_numpy(picture)[None, None], torch.from_numpy(cells))[0, 0].numpy()
        if levels.shape != (height, width):
            levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
        steps = np.rint(levels).astype(np.int16)[..., None]
        return np.stack([np.clip(image + steps, 0, 255).astype(np.uint8) for image in frames])

    @torch.inference_mode()
    def find(self, frames: Iterable[np.ndarray]) -> Found:
        """Look for the mark in `(H, W, 3)` uint8 RGB frames of one size."""
        picture = _even(to_side(_mean(frames)))
        answers = np.tanh(self.decoder(torch.from_numpy(picture)[None, None])[0, 0].numpy() / 2)
        found = _read_near(answers, 1.0)
        if found.payload is not None and found.score >= THRESHOLD:
            return found
        coarse = sorted(((_register(_folded(answers, scale))[0], scale) for scale in SCALES), reverse=True)
        tried = [found, *(_read_near(answers, scale) for _, scale in coarse[:TRIED])]
        return max(tried, key=lambda one: (one.payload is not None, one.score))

    @staticmethod
    def is_marked(found: Found) -> bool:
        """Whether the mark is there."""
        return found.payload is not None and found.score >= THRESHOLD


def _mean(frames: Iterable[np.ndarray]) -> np.ndarray:
    """`(H, W)` float32 luminance."""
    total: Any = 0.0
    count = 0
    for image in frames:
        total = total + cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        count += 1
    mean: np.ndarray = total / count
    return mean


def _even(picture: np.ndarray) -> np.ndarray:
    height, width = (side // SEEN * SEEN for side in picture.shape)
    return np.ascontiguousarray(picture[:height, :width])


def _folded(answers: np.ndarray, scale: float) -> np.ndarray:
    """`(TILE / 2, TILE / 2)`: the mean over all tiles of answers brought to a scale."""
    side = TILE // SEEN
    height, width = (round(length * scale) for length in answers.shape)
    scaled = cv2.resize(answers, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    down, across = -(-height // side), -(-width // side)
    padded = np.pad(scaled, ((0, down * side - height), (0, across * side - width)))
    folded: np.ndarray = padded.reshape(down, side, across, side).mean(axis=(0, 2))
    return folded


def _register(folded: np.ndarray) -> tuple[float, tuple[int, int]]:
    """How well the constant cells fit at the best shift, in standard deviations, and that shift."""
    step = CELL // SEEN
    same = np.zeros_like(folded)
    same[::step, ::step] = np.where(layout() < 0, _constant(), 0)
    correlation = np.fft.ifft2(np.fft.fft2(folded) * np.fft.fft2(same).conj()).real
    place = int(correlation.argmax())
    return float(correlation.flat[place] / (correlation.std() + 1e-12)), (place // len(folded), place % len(folded))


def _read_near(answers: np.ndarray, scale: float) -> Found:
    scales = [scale * float(np.exp(step)) for step in REFINED]
    _, shift, exact = max(((*_register(_folded(answers, near)), near) for near in scales), key=lambda row: row[0])
    folded = np.roll(_folded(answers, exact), (-shift[0], -shift[1]), (0, 1))
    values = folded[:: CELL // SEEN, :: CELL // SEEN]
    soft = np.zeros(CODED)
    coded = layout() >= 0
    soft[layout()[coded]] = values[coded]
    bits = decode(soft)
    noise = np.sqrt((values * values).sum()) + 1e-12
    return Found(float((tile_of(encode(bits)) * values).sum() / noise), Payload.from_bits(bits), exact, shift)
