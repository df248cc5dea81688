"""What costs a mouth its motion: `python -m benchmarks.people.mouth_losses FOLDER [--clips 8]`. Minutes on one core.

How far the lips are apart, as MediaPipe reads it, beside the same of the original: of pictures that were made smaller and back, of cells of frames that
were averaged, of an autoencoder's reconstruction, and of one that is given frame by frame (a cell of its latents then holds one frame, not four).
Whatever an autoencoder does as an average over its cell does, it has not kept.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKLWan

from benchmarks.people.reconstruction import SEED, reconstructed
from curation.people.wholebody.holistic import MediaPipeHolistic
from evaluation.metrics.people.face_reading import FaceReading
from media.speech.mouth_and_sound import correlation
from omnihuman.autoencoder import load_autoencoder
from people import Person, render

FRAMINGS = ("close", "portrait")
Change = Callable[[np.ndarray], np.ndarray]


def smaller_and_back(frames: np.ndarray, factor: int) -> np.ndarray:
    """`(T, H, W, 3)` uint8 with the detail of pictures `factor` times smaller."""
    height, width = frames.shape[1:3]
    small = [cv2.resize(f, (width // factor, height // factor), interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in small])


def averaged_cells(frames: np.ndarray, cell: int) -> np.ndarray:
    """`(T, H, W, 3)` uint8, the first frame as it is and each `cell` after it as their mean, as a causal autoencoder's cells lie."""
    out = frames.astype(np.float32)
    for start in range(1, len(frames), cell):
        out[start : start + cell] = frames[start : start + cell].mean(axis=0)
    return np.round(out).astype(np.uint8)


def changes(autoencoder: AutoencoderKLWan) -> dict[str, Change]:
    """What is done to the pictures, by name."""
    return {
        "the pictures themselves": lambda frames: frames,
        "half the size and back": partial(smaller_and_back, factor=2),
        "a quarter of it": partial(smaller_and_back, factor=4),
        "two frames averaged": partial(averaged_cells, cell=2),
        "four frames averaged": partial(averaged_cells, cell=4),
        "the autoencoder": partial(reconstructed, autoencoder),
        "the autoencoder, frame by frame": lambda frames: np.concatenate(
            [reconstructed(autoencoder, frame[None]) for frame in frames]
        ),
    }


def row(change: Change, people: list[Person], detector: MediaPipeHolistic) -> tuple[float, float]:
    """Means over clips of r with what is read of the original, and with the truth."""
    found = []
    for person in people:
        size = person.frames.shape[1]
        original = FaceReading.of(detector(person.frames), size, size).opening
        changed = FaceReading.of(detector(change(person.frames)), size, size).opening
        found.append((correlation(changed, original), correlation(changed, person.opening)))
    with_original, with_truth = np.nanmean(np.array(found), axis=0)
    return float(with_original), float(with_truth)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of an autoencoder")
    parser.add_argument("--clips", type=int, default=8, help="of each framing")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, made = MediaPipeHolistic.packaged(), changes(load_autoencoder(args.folder.resolve()))
    people = {
        framing: [
            render(seed, frames=args.frames, size=args.size, split="held_out", framing=framing)
            for seed in range(SEED, SEED + args.clips)
        ]
        for framing in FRAMINGS
    }
    print(
        "| r of the opening with the original's (with the truth) | "
        + " | ".join(FRAMINGS)
        + " |\n| --- | ---: | ---: |"
    )
    for name, change in made.items():
        cells = [row(change, people[framing], detector) for framing in FRAMINGS]
        print(f"| {name} | " + " | ".join(f"{own:.2f} ({true:.2f})" for own, true in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
