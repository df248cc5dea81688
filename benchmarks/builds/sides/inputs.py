"""What both builds are given, made once by the build before, which the later one still reads: `... inputs WHAT FOLDER`."""

import argparse
import os
from pathlib import Path

from benchmarks.builds.sides.places import place
from media import encode_clip

FIRST_SEED = 61_000_000  # no demo has these puppets


def main(arguments: list[str] | None = None) -> None:
    """Write a random snapshot, puppets with their sidecars, clips to score; or make a folder a home that can take clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("snapshot", "puppets", "clips", "home"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0, help="number of the first puppet")
    parser.add_argument("--count", type=int, default=64, help="of puppets")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "snapshot":
        write_snapshot(given.folder)
    elif given.what == "puppets":
        write_puppets(given.folder, given.first, given.count)
    elif given.what == "clips":
        write_clips(given.folder)
    else:
        os.environ["OMNIHUMAN_HOME"] = str(given.folder)
        place("ensure_repository")(place("open_workspace")())


def write_snapshot(folder: Path) -> None:
    """Random features of the laptop's shapes, from a seed."""
    import torch

    from profiles import load_profile

    torch.manual_seed(0)
    place("write_snapshot")(folder, load_profile("laptop"))


def write_puppets(folder: Path, first: int, count: int) -> None:
    """Puppets of 25 frames as a demo's inbox has them, old enough for the sensor."""
    for number in range(first, first + count):
        place("render_puppet")(place("PuppetFile")(FIRST_SEED + number, "clean", 25), folder)
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))


def write_clips(folder: Path) -> None:
    """Moving textures of two sizes as people's clips have them, and four puppets."""
    from puppets import render

    for height, width in ((360, 640), (480, 832)):
        (folder / f"texture-{height}.mp4").write_bytes(place("walking_texture")(height, width, 75, 25.0))
    for seed in range(4):
        made = render(seed, "clean", 33)
        (folder / f"puppet-{seed}.mp4").write_bytes(encode_clip(made.frames, made.fps, made.audio))


if __name__ == "__main__":
    main()
