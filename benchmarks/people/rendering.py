"""CPU seconds of a rendered clip, apart for the body and for its frames: `python -m benchmarks.people.rendering`.

Aimed at before anything was written: 0.2 s a clip of 25 frames at 96 px, all included. The first version took 0.9.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

from people import render
from people.body.body import body_of
from people.identity import draw_identity

FRAMES = 25


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rows(sizes: list[int], clips: int, seed: int) -> list[tuple[int, float, float]]:
    """Per size: pixels, mean seconds of a body, mean seconds of `FRAMES` frames of a body that is there."""
    render(seed, frames=1, size=sizes[0])  # the rasteriser is built and the packs are read
    found = []
    for size in sizes:
        bodies = frames = 0.0
        for s in range(seed + 1, seed + 1 + clips):
            body_of.cache_clear()
            bodies += cpu_seconds(partial(body_of, draw_identity(s), 256 if size <= 160 else 512))
            frames += cpu_seconds(partial(render, s, "clean", FRAMES, size))
        found.append((size, bodies / clips, frames / clips))
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 256])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=600)
    args = parser.parse_args()
    print(f"| px | body, CPU s | {FRAMES} frames, CPU s | frames a second of one core | clip of a new person, CPU s |")
    print("| --- | --- | --- | --- | --- |")
    for size, body, frames in rows(args.sizes, args.clips, args.seed):
        print(f"| {size} | {body:.3f} | {frames:.3f} | {FRAMES / frames:.0f} | {body + frames:.3f} |")


if __name__ == "__main__":
    main()
