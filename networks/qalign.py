"""Q-Align (Wu et al. 2023): how excellent, good, fair, poor or bad a picture's quality and aesthetics are, 1 to 5.

The published score of `q-future/one-align`: the probabilities of the five words after a fixed question, times 5, 4, 3, 2, 1. Its code
runs on transformers 4.31 only; here the network is built anew (`networks.mplug_owl2`) and its weights are read by path.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from media import sha256_while_unchanged
from media.weights import fill, refuse_pickles
from networks.on_device import one_thread
from networks.weights import Network, NetworkError, opened, read_weights

QALIGN = "q-align"
LEVELS = ("excellent", "good", "fair", "poor", "bad")
TASKS = ("quality", "aesthetics")
REMEDY = "download q-future/one-align (config.json, weights, tokenizer and preprocessor_config.json) and give the folder's path"
PROTOCOL = "a frame a second, padded to a square with the mean colour, CLIP's preprocessing; softmax over five levels times 5, 4, 3, 2, 1"
FRAMES_AT_ONCE = 8


class QAlign:
    """Scores frames. `network` names the weights."""

    def __init__(self, folder: Path, device: str):
        """Open by path, on a device.

        Raises:
            NetworkError: a missing file, weights of another network, or a tokenizer without the five levels as words of their own.
        """
        if not (folder / "config.json").is_file():
            raise NetworkError(f"no file {folder / 'config.json'} for {QALIGN}; {REMEDY}")
        weights = weight_files(folder)
        self.network = Network(QALIGN, _digest(weights), PROTOCOL)
        self._device = torch.device(device)
        self._model = opened(folder, QALIGN, REMEDY, lambda: _load(folder, weights).to(self._device))
        self._dtype = next(self._model.parameters()).dtype
        self._tokenizer, self._processor = opened(folder, QALIGN, REMEDY, lambda: _preprocessing(folder))
        self._levels = torch.tensor(self._level_ids(folder), device=self._device)

    def __call__(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(S, 2)` float32: quality and aesthetics, 1 to 5, of one frame for each second begun."""
        return self.levels(frames[np.unique(np.arange(0, len(frames), fps).astype(int))])

    def levels(self, pictures: np.ndarray) -> np.ndarray:
        """`(N, H, W, 3)` uint8 RGB to `(N, 2)` float32: quality and aesthetics, 1 to 5, of each."""
        parts = [pictures[start : start + FRAMES_AT_ONCE] for start in range(0, len(pictures), FRAMES_AT_ONCE)]
        return np.concatenate([self._score(part) for part in parts])

    def _score(self, frames: np.ndarray) -> np.ndarray:
        pixels = self._pixels(frames)
        with one_thread():
            scores = [_expected_level(self._model(pixels, *self._question(task))[:, self._levels]) for task in TASKS]
        return torch.stack(scores, dim=1).cpu().numpy()

    def _pixels(self, frames: np.ndarray) -> Tensor:
        colour = [int(255 * mean) for mean in self._processor.image_mean]
        squares = [padded_to_square(frame, colour) for frame in frames]
        return self._processor(squares, return_tensors="pt")["pixel_values"].to(self._device, self._dtype)

    def _question(self, task: str) -> tuple[Tensor, Tensor]:
        """Token ids before and after the picture; the second piece without another beginning of the sentence."""
        pieces = [f"USER: How would you rate the {task} of this image?\n", f"\nASSISTANT: The {task} of the image is"]
        before, after = (self._tokenizer(piece)["input_ids"] for piece in pieces)
        begins = before[:1] == [self._tokenizer.bos_token_id]
        return torch.tensor(before, device=self._device), torch.tensor(
            after[1:] if begins else after, device=self._device
        )

    def _level_ids(self, folder: Path) -> list[int]:
        found = [self._tokenizer(level)["input_ids"] for level in LEVELS]
        words = [ids[1:] if ids[:1] == [self._tokenizer.bos_token_id] else ids for ids in found]
        if any(len(ids) != 1 for ids in words) or len({ids[0] for ids in words}) < len(LEVELS):
            raise NetworkError(
                f"the tokenizer in {folder} has no single word for each of {', '.join(LEVELS)}; {REMEDY}"
            )
        return [ids[0] for ids in words]


def padded_to_square(frame: np.ndarray, colour: list[int]) -> np.ndarray:
    """`(H, W, 3)` uint8 in the middle of a square of one colour; the odd line goes below or to the right."""
    height, width = frame.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = colour
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = frame
    return square


def _expected_level(logits: Tensor) -> Tensor:
    """`(B, 5)` logits of `LEVELS` to `(B,)` in [1, 5]."""
    return (logits.softmax(dim=-1) @ torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0], device=logits.device)).clamp(1.0, 5.0)


def weight_files(folder: Path) -> list[Path]:
    """The folder's safetensors.

    Raises:
        WrongWeights: pickles instead, as the network was published.
        NetworkError: nothing.
    """
    refuse_pickles(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NetworkError(f"no weights (*.safetensors) in {folder} for {QALIGN}; {REMEDY}")
    return files


def _digest(files: list[Path]) -> str:
    """Of one file its own hash, of several a hash over theirs."""
    hashes = [sha256_while_unchanged(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _load(folder: Path, files: list[Path]) -> Any:
    from networks.mplug_owl2 import Owl, OwlConfig

    config = OwlConfig.read(json.loads((folder / "config.json").read_text()))
    state: dict[str, Tensor] = {}
    for file in files:
        state |= read_weights(file, REMEDY)
    # Tables that older transformers kept in the file; today's compute them.
    state = {name: value for name, value in state.items() if not name.endswith("rotary_emb.inv_freq")}
    with torch.device("meta"):
        model = Owl(config)
    fill(model, state, folder, REMEDY, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config.llama)
    return model.eval().requires_grad_(False)


def _preprocessing(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, CLIPImageProcessorPil

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True), CLIPImageProcessorPil.from_pretrained(
        str(folder), local_files_only=True
    )
