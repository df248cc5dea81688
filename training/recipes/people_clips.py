"""Clips of rendered people for recipes: a process of its own renders them to disk while another one trains.

`python -m training.recipes.people_clips FOLDER --clips 20000`. Pieces of 32 clips are written whole, and a second call goes on after the last.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from media import write_atomically
from people import render
from people.truth import OUTSIDE, SEEN

PIECE = 32
CLIPS_OF_A_PERSON = 2  # the body is most of a short clip's cost
FRAMINGS = (("close", 0.4), ("portrait", 0.4), ("half", 0.15), ("upper", 0.05))
REGIONS = {"face": slice(23, 91), "mouth": slice(71, 91), "left hand": slice(91, 112), "right hand": slice(112, 133)}
MARGIN = {
    "face": (0.12, 0.45, 0.12, 0.08)
}  # left, top, right, bottom, in shares of the points' box; the forehead has no points
ANY_MARGIN = (0.2, 0.2, 0.2, 0.2)


def region_boxes(keypoints: np.ndarray, size: int) -> np.ndarray:
    """Where face, mouth and hands are.

    Args:
        keypoints: `(T, 133, 3)` truth of a clip.
        size: side of the picture.

    Returns:
        `(T, 4, 4)` int16 of left, top, right, bottom (behind the last pixel) by `REGIONS`; all zero where most of it is not seen.
    """
    boxes = np.zeros((len(keypoints), len(REGIONS), 4), np.int16)
    for t, points in enumerate(keypoints):
        for r, (name, part) in enumerate(REGIONS.items()):
            seen = points[part, 2] >= (SEEN if "hand" in name else OUTSIDE + 0.25)
            if seen.mean() < 0.5:
                continue
            low, high = points[part, :2].min(axis=0), points[part, :2].max(axis=0)
            (width, height), margin = high - low, MARGIN.get(name, ANY_MARGIN)
            edges = [
                low[0] - margin[0] * width,
                low[1] - margin[1] * height,
                high[0] + margin[2] * width,
                high[1] + margin[3] * height,
            ]
            box = np.round(np.array(edges) + [0, 0, 1, 1]).clip(0, size).astype(np.int16)
            if (box[2:] - box[:2]).min() >= 3:
                boxes[t, r] = box
    return boxes


def render_piece(seed: int, number: int, frames: int, size: int) -> dict[str, np.ndarray]:
    """`frames` `(32, T, H, W, 3)` uint8 and `boxes` `(32, T, 4, 4)` of piece `number`: the same on every machine."""
    made, boxes = [], []
    for k in range(number * PIECE, (number + 1) * PIECE):
        rng = np.random.default_rng([seed, k])
        framing = str(rng.choice([name for name, _ in FRAMINGS], p=[share for _, share in FRAMINGS]))
        person = render(seed + k, frames=frames, size=size, identity=seed + k // CLIPS_OF_A_PERSON, framing=framing)
        made.append(person.frames)
        boxes.append(region_boxes(person.keypoints, size))
    return {"frames": np.stack(made), "boxes": np.stack(boxes)}


def there_and_back(length: int, frames: int) -> np.ndarray:
    """`(frames,)` 0, 1, ... length - 1, ... 1, 0, 1, ..."""
    step = np.arange(frames) % max(1, 2 * (length - 1))
    return np.minimum(step, 2 * (length - 1) - step)


def _path(folder: Path, number: int) -> Path:
    return folder / f"piece-{number:05d}.safetensors"


def render_clips(folder: Path, clips: int, seed: int, frames: int, size: int, start: int = 0, step: int = 1) -> None:
    """Write pieces until there are `clips` of them; several processes share the work by `start` and `step`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, -(-clips // PIECE), step):
        if not _path(folder, number).exists():
            write_atomically(_path(folder, number), save(render_piece(seed, number, frames, size)))


@contextmanager
def rendering(folder: Path, clips: int) -> Iterator[None]:
    """Render into `folder` beside the block, in a process that ends with it; 0 clips render none."""
    command = [sys.executable, "-m", "training.recipes.people_clips", str(folder), "--clips", str(clips)]
    process = subprocess.Popen(command) if clips else None
    try:
        yield
    finally:
        if process is not None:
            process.terminate()
            process.wait()


@dataclass
class ClipsOnDisk:
    """Random clips of a folder that may still be growing.

    Attributes:
        folder: of `render_clips`.
    """

    folder: Path
    _pieces: list[Path] = field(default_factory=list)

    def look_again(self) -> int:
        """How many clips there are now."""
        self._pieces = sorted(self.folder.glob("piece-*.safetensors"))
        return PIECE * len(self._pieces)

    def draw(self, rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """`(frames, H, W, 3)` uint8 and `(frames, 4, 4)` boxes of a stretch of a clip that `rng` chooses; one that is longer than the clip goes
        there and back again."""
        path = self._pieces[int(rng.integers(len(self._pieces)))]
        clip = int(rng.integers(PIECE))
        with safe_open(path, "np") as piece:
            pixels, boxes = piece.get_slice("frames"), piece.get_slice("boxes")
            length = pixels.get_shape()[1]
            start = int(rng.integers(max(1, length - frames + 1)))
            if frames <= length:
                return pixels[clip, start : start + frames], boxes[clip, start : start + frames]
            order = there_and_back(length, frames)
            return pixels[clip, :][order], boxes[clip, :][order]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=71_000_000)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    args = parser.parse_args()
    render_clips(args.folder, args.clips, args.seed, args.frames, args.size, args.start, args.step)


if __name__ == "__main__":
    main()
