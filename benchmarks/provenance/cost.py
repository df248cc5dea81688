"""What mark and signature cost beside a one-step generation of the same window, in one run: `python -m benchmarks.provenance.cost`.

An untrained model: time does not depend on what it knows. `--profile people` is the people's size, `--size 256` makes a window of that many pixels a side. Each repeat
makes the window, encodes it, marks it and signs it, one after another, so that a busy machine is busy for all; shares are medians of each repeat's own. Files
lie in memory where the system has a place for that: an unsigned file is flushed to the disk too, and by how long a disk takes for it shares would differ more than by what is measured.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import torch

from media import encode_clip, flush_to_disk
from media.photographs import png_with_text
from omnihuman.exporting.marking import Marking
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from provenance.settings import KEYS
from provenance.signing import Signer, Statement
from provenance.watermark.payload import Payload
from puppets import render
from training.stages.model import build_transformer

IN_MEMORY = Path("/dev/shm")
BOTH, WITH_ENCODING = "mark and signature", "generation and encoding"


def milliseconds(work: Callable[[], object]) -> torch.Tensor:
    """`(2,)`: by the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return torch.tensor([1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)])


def measure(profile_name: str, size: int | None, repeats: int, place: Path) -> dict[str, torch.Tensor]:
    """`(repeats, 2)` milliseconds of each part."""
    os.environ[KEYS] = str(place / "keys")  # a development certificate as it is made today
    profile = load_profile(profile_name, [])
    side = size or profile.video.height
    pipe = build_pipeline(profile, build_transformer(profile, None, 0), 1)
    person = render(90_000_001, frames=17)
    bare, marked = Marking(True, None, None), Marking(True, Payload(3, date(2026, 11, 29)), None)
    statement = Statement({"seed": 3}, "AI-generated")
    path, signed, picture = place / "a.mp4", place / "b.mp4", place / "a.png"

    def generate() -> torch.Tensor:
        made = pipe(
            "A person talks.",
            image=person.frames[0],
            audio=person.audio,
            height=side,
            width=side,
            generator=torch.Generator(),
        )
        frames: torch.Tensor = made.frames[0]
        return frames

    def sign(source: Path, target: Path) -> None:
        signer = Signer.open()
        assert signer is not None
        signer.sign(source, target, statement)

    frames = generate()
    picture.write_bytes(png_with_text(bare.pictures(frames[:1], 16)[0], {}))
    rows: dict[str, list[torch.Tensor]] = {}
    for number in range(repeats + 1):
        generation = milliseconds(generate)
        encoding = milliseconds(
            lambda: path.write_bytes(encode_clip(bare.pictures(frames, 16), 16, person.audio, pixel_format="yuv420p"))
        )
        bare.pictures(frames, 16)  # what both share is in the processor's cache, what the mark adds is not
        mark = milliseconds(lambda: marked.pictures(frames, 16)) - milliseconds(lambda: bare.pictures(frames, 16))
        signature = milliseconds(lambda: sign(path, signed))
        png = milliseconds(lambda: sign(picture, signed))
        # What a file that is not signed ends with too.
        end = milliseconds(lambda: (flush_to_disk(path), path.replace(signed)))
        row = {
            "generation": generation,
            "encoding": encoding,
            "invisible mark": mark,
            "signature": signature - end,
            BOTH: mark + signature - end,
            "signature of a PNG frame": png - end,
            WITH_ENCODING: generation + encoding,
        }
        for name, value in row.items() if number else ():  # the first one loads and caches
            rows.setdefault(name, []).append(value)
    return {name: torch.stack(values) for name, values in rows.items()}


def shares(part: torch.Tensor, whole: torch.Tensor) -> Sequence[str]:
    """Of `(repeats, 2)` each: the middle share by the clock and of the processor, and the middle half of them."""
    quarters = (100 * part / whole).quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0).T.tolist()
    return [f"{middle:.2f} % ({low:.2f} to {high:.2f})" for low, middle, high in quarters]


def main() -> None:
    """Print a row for each part, with its share of the generation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--size", type=int, help="pixels of a side, a multiple of 16; by default the profile's")
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as place:
        rows = measure(arguments.profile, arguments.size, arguments.repeats, Path(place))
    print(
        "| part | ms by the clock | of the processor | share of generation by the clock | of the processor | of generation and encoding by the clock | of the processor |"
        "\n| --- | ---: | ---: | --- | --- | --- | --- |"
    )
    for name, row in rows.items():
        middle = [f"{statistics.median(column):.2f}" for column in row.T.tolist()]
        whole = [text for base in ("generation", WITH_ENCODING) for text in shares(row, rows[base])]
        print("| " + " | ".join((name, *middle, *whole)) + " |")


if __name__ == "__main__":
    main()
