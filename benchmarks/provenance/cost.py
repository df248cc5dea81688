"""What mark and signature cost beside a one-step generation of the same window, in one run: `python -m benchmarks.provenance.cost`.

An untrained model of the laptop profile: time does not depend on what it knows. `--size 256` makes a window of that many pixels a side.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from media import encode_clip, flush_to_disk
from omnihuman.exporting.marking import Marking
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from provenance.signing import Signer, Statement
from provenance.watermark.payload import Payload
from puppets import render
from training.stages.model import build_transformer


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def main() -> None:
    """Print a row for each part, with its share of the generation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels of a side, a multiple of 16")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    profile, size = load_profile("laptop", []), arguments.size
    pipe = build_pipeline(profile, build_transformer(profile, None, 0), 1)
    person = render(90_000_001, frames=17)
    bare = Marking(True, None, None)
    payload, statement = Payload(3, date(2026, 11, 29)), Statement({"seed": 3}, "AI-generated")
    times: dict[str, list[tuple[float, float]]] = {"generation": [], "encoding": [], "mark": [], "signature": []}
    with tempfile.TemporaryDirectory() as place:
        path, signed = Path(place) / "a.mp4", Path(place) / "b.mp4"
        frames = pipe("A person talks.", image=person.frames[0], audio=person.audio, height=size, width=size).frames[0]
        for _ in range(arguments.repeats):
            times["generation"].append(
                milliseconds(
                    lambda: pipe(
                        "A person talks.",
                        image=person.frames[0],
                        audio=person.audio,
                        height=size,
                        width=size,
                        generator=torch.Generator(),
                    )
                )
            )
            times["encoding"].append(
                milliseconds(
                    lambda: path.write_bytes(
                        encode_clip(bare.pictures(frames, 16), 16, person.audio, pixel_format="yuv420p")
                    )
                )
            )
            plain = milliseconds(lambda: bare.pictures(frames, 16))
            marked = milliseconds(lambda: Marking(True, payload, None).pictures(frames, 16))
            times["mark"].append((marked[0] - plain[0], marked[1] - plain[1]))
            sign = milliseconds(lambda: Signer.open().sign(path, signed, statement))  # type: ignore[union-attr]
            # What a file that is not signed ends with too.
            bare_end = milliseconds(lambda: (flush_to_disk(path), path.replace(signed)))
            times["signature"].append((sign[0] - bare_end[0], sign[1] - bare_end[1]))
    print(
        "| part | ms by the clock | of the processor | share of generation, clock | processor | share of generation and encoding, clock | processor |"
        "\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    middle = {
        name: [statistics.median(column) for column in zip(*values, strict=True)] for name, values in times.items()
    }
    middle["mark and signature"] = [sum(pair) for pair in zip(middle["mark"], middle["signature"], strict=True)]
    middle["generation and encoding"] = [
        sum(pair) for pair in zip(middle["generation"], middle["encoding"], strict=True)
    ]
    for name, both in middle.items():
        shares = [
            " | ".join(f"{100 * own / whole:.1f} %" for own, whole in zip(both, middle[base], strict=True))
            for base in ("generation", "generation and encoding")
        ]
        print(f"| {name} | {both[0]:.1f} | {both[1]:.1f} | {shares[0]} | {shares[1]} |")


if __name__ == "__main__":
    main()
