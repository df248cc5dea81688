"""Videos of a benchmark by one process of all threads, and by as many processes of one thread: `python -m benchmarks.evaluation.processes HOME`.

Both ways make the same two batches of puppets, in turns, after a turn that is not counted. CPU seconds are of all processes together. The third pair is
a true clip as the report of `benchmark_scores` encodes it: on all threads, and on one.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch

from assets.core.markdown import markdown_table
from assets.core.names import SOURCES
from assets.core.workspace import Workspace
from assets.kinds.judging.generated_videos import judging_autoencoder, planned_pipeline
from assets.kinds.judging.sharing import Sharing
from evaluation.benchmark.benchmark_plan import SECOND_SEED, STUDENT, TEACHER, generation_plan
from evaluation.benchmark.generate import ALONE, Share, make_batches
from evaluation.benchmark.read import load_benchmark
from networks.on_device import one_thread
from omnihuman.autoencoder import encode_video, to_pixels
from omnihuman.placement import CPU
from profiles import load_profile
from profiles.judging import PUPPETS

TRUE_CLIP = "true_clip"


@dataclass(frozen=True)
class Took:
    """One turn: seconds by the clock, CPU seconds, and what was made."""

    wall: float
    cpu: float
    made: Any


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="a home with a finished demo")
    parser.add_argument("--clips", type=int, default=16, help="of a batch")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--only", nargs="+", choices=(STUDENT, TEACHER, TRUE_CLIP), default=(STUDENT, TEACHER, TRUE_CLIP)
    )
    options = parser.parse_args()
    torch.set_num_threads(options.processes)
    with Sharing([CPU] * options.processes) as sharing, tempfile.TemporaryDirectory() as folder:
        pairs = {
            model: (
                partial(videos, options.home, model, options.clips, Path(folder), None),
                partial(videos, options.home, model, options.clips, Path(folder), sharing),
            )
            for model in (STUDENT, TEACHER)
        }
        encode = partial(encoded, options.home)
        pairs[TRUE_CLIP] = encode, partial(on_one_thread, encode)
        rows = []
        for name in options.only:
            rows.append(row(name, *in_turns(*pairs[name], options.turns)))
            print(rows[-1], flush=True)
    print(markdown_table(rows))


def in_turns(one: Callable[[], Any], other: Callable[[], Any], turns: int) -> tuple[list[Took], list[Took]]:
    """What each turn of two ways took, after one of each that is not counted."""
    found: tuple[list[Took], list[Took]] = ([], [])
    for _ in range(turns + 1):
        for way, took in zip((one, other), found, strict=True):
            cpu, wall = cpu_seconds(), time.perf_counter()
            made = way()
            took.append(Took(time.perf_counter() - wall, cpu_seconds() - cpu, made))
    return found[0][1:], found[1][1:]


def row(name: str, before: list[Took], after: list[Took]) -> dict[str, Any]:
    """Medians of both ways, and their ratios turn by turn."""
    pairs = list(zip(before, after, strict=True))
    return {
        "what": name,
        "CPU s, one process": round(median(took.cpu for took in before), 2),
        "CPU s, several": round(median(took.cpu for took in after), 2),
        "wall s, one process": round(median(took.wall for took in before), 2),
        "wall s, several": round(median(took.wall for took in after), 2),
        "CPU, ratio": round(median(b.cpu / a.cpu for a, b in pairs), 2),
        "wall, ratio": round(median(b.wall / a.wall for a, b in pairs), 2),
        "equal": all(a.made == b.made for a, b in pairs),
    }


def videos(home: Path, model: str, clips: int, folder: Path, sharing: Sharing | None) -> dict[str, bytes]:
    """The files of two batches of `model`, by name."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        given = (home, model, clips, Path(made) / "audio")
        if sharing is None:
            make(*given, ALONE, CPU)
        else:
            sharing.do(lambda share: make(*given, share, CPU), make, given, f"the videos of {model}")
        return {file.name: _without_costs(file.read_bytes()) for file in Path(made).rglob("*.safetensors")}


def make(home: Path, model: str, clips: int, destination: Path, share: Share, device: str) -> None:
    """A share of two batches, in whatever process this is."""
    workspace = _workspace(home)
    benchmark = load_benchmark(workspace.data("benchmark_sets"), PUPPETS)
    config = workspace.profile.evaluation.model_copy(update={"batch_size": clips})
    plan = {one.name: one for one in generation_plan(config, benchmark)}[model]
    # The second seed is asked of the first two batches.
    make_batches(_pipeline(home, model), benchmark, destination, SECOND_SEED, plan.steps, config, weights="", share=share)  # fmt: skip


def encoded(home: Path) -> bytes:
    """Latents of the first true clip."""
    benchmark = load_benchmark(_workspace(home).data("benchmark_sets"), PUPPETS)
    latents = encode_video(_autoencoder(home), to_pixels(benchmark.sample(0).frames[None]))
    return latents.float().numpy().tobytes()


def on_one_thread(call: Callable[[], Any]) -> Any:
    """Its result."""
    with one_thread():
        return call()


def cpu_seconds() -> float:
    """Of this process and all that it started and that still run."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _without_costs(file: bytes) -> bytes:
    """The videos alone: before them the file says what they cost."""
    return file[8 + int.from_bytes(file[:8], "little") :]


@cache
def _workspace(home: Path) -> Workspace:
    return Workspace(home, load_profile("laptop", ["evaluation.device=cpu"]))


@cache
def _pipeline(home: Path, model: str) -> Any:
    workspace = _workspace(home)
    plan = {one.name: one for one in generation_plan(workspace.profile.evaluation)}[model]
    return planned_pipeline(workspace.profile, workspace.data(SOURCES[model]) / "transformer", plan)


@cache
def _autoencoder(home: Path) -> Any:
    return judging_autoencoder(_workspace(home).profile)


if __name__ == "__main__":
    main()
