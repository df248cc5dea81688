"""Look at rendered people: `python -m people --sheet OUT.png --seed S --people 64 --size 128`, or `--clip OUT.mp4 --seed S`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from media import encode_clip, write_atomically
from media.photographs import png_with_text
from media.user_error import exit_code
from people.kinds import KINDS
from people.render import render
from people.scene.camera import FRAMINGS


def sheet(seed: int, people: int, size: int, framing: str | None) -> np.ndarray:
    """`(rows * size, columns * size, 3)` uint8: one picture of each of so many people, in seeds from `seed` on."""
    pictures = [render(s, frames=1, size=size, framing=framing).frames[0] for s in range(seed, seed + people)]
    columns = max(1, round(people**0.5))
    pictures += [np.full((size, size, 3), 255, np.uint8)] * (-len(pictures) % columns)
    return np.concatenate([np.concatenate(pictures[k : k + columns], axis=1) for k in range(0, len(pictures), columns)])


def main() -> int:
    """Write what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m people", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--sheet", type=Path, metavar="OUT.png", help="pictures of many people")
    asked.add_argument("--clip", type=Path, metavar="OUT.mp4", help="one clip, with its truth in OUT.mp4.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--kind", choices=KINDS, default="clean")
    parser.add_argument("--framing", choices=tuple(FRAMINGS))
    args = parser.parse_args()
    try:
        if args.sheet:
            write_atomically(
                args.sheet,
                png_with_text(
                    sheet(args.seed, args.people, args.size, args.framing),
                    {"Title": f"people of seeds {args.seed} to {args.seed + args.people - 1}"},
                ),
            )
        else:
            person = render(args.seed, args.kind, args.frames, args.size, framing=args.framing)
            write_atomically(args.clip.with_name(args.clip.name + ".json"), person.sidecar())
            write_atomically(args.clip, encode_clip(person.frames, person.fps, person.audio))
            print(person.caption)
    except Exception as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
