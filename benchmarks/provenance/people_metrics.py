"""What the invisible mark does to the benchmark's metrics of people: `python -m benchmarks.provenance.people_metrics [--size 256] [--films] [--truth]`.

No model of people is asked, for none is as good as its autoencoder: the benchmark's own clips through the profile's autoencoder, or as they are, stand for videos that
a model made. They are written as an export writes them, with the mark and without it (the visible one in neither), and scored by the benchmark's own code.
Clips are the profile's benchmark `rendered_people`, of seeds that nothing trains on, or its `packaged` one. Needs `make people-and-text`, and `--films` the package index.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from safetensors.numpy import save_file

from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import trained_people
from assets.kinds.judging.generated_videos import judging_autoencoder
from assets.kinds.judging.instruments import profile_instruments
from assets.kinds.judging.rendered_people import build_rendered_people
from benchmarks.provenance.metrics import score_written, table_of
from curation.snapshot.overlap import Training
from curation.snapshot.packaged_set import build_packaged_set
from evaluation.benchmark.benchmark_plan import PIXELS, RECONSTRUCTION, ModelPlan
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import reconstruct
from evaluation.benchmark.read import load_benchmark
from evaluation.metrics.observation.instruments import Instruments
from profiles import Profile, load_profile
from profiles.judging import PACKAGED, RENDERED_PEOPLE

TRUE = "truth"  # the clips themselves, as if a model had made them


def people_at(size: int, clips: int, bootstrap: int, frames: int | None = None) -> Profile:
    """The profile `people`, with videos of `size` pixels a side."""
    video = {"height": size, "width": size} | ({} if frames is None else {"frames": frames})
    settings = [f"video.{key}={value}" for key, value in video.items()]
    return load_profile("people", [*settings, f"evaluation.clips={clips}", f"evaluation.bootstrap={bootstrap}"])


def build(workspace: Workspace, films: bool) -> ClipBenchmark:
    """The benchmark of rendered people, or of packaged films, in a home that trains nothing."""
    profile, name = workspace.profile, PACKAGED if films else RENDERED_PEOPLE
    root = workspace.data("benchmark_sets")
    if films:
        from assets.kinds.detectors import keypoint_detector

        nobody = Training(pd.DataFrame(columns=["clip_id"]), "no clips")
        limit = profile.evaluation.clips
        build_packaged_set(root / name, profile.video, nobody, keypoint_detector(profile), limit)
    else:
        build_rendered_people(root / name, profile.evaluation, profile.video, trained_people(profile), "no clips")
    benchmark = load_benchmark(root, name)
    assert isinstance(benchmark, ClipBenchmark)
    return benchmark


def make_videos(workspace: Workspace, benchmark: ClipBenchmark) -> Path:
    """The benchmark's part of `generated_videos`: its reconstruction, and its own pixels under `TRUE`."""
    made = workspace.of_benchmark("generated_videos", benchmark.name)
    pixels = reconstruct(judging_autoencoder(workspace.profile), benchmark, made / RECONSTRUCTION / PIXELS)
    folder = made / TRUE / PIXELS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_bytes((pixels / "meta.json").read_bytes())
    frames = {name: benchmark.sample(clip).frames.numpy() for clip, name in enumerate(benchmark.names)}
    save_file(frames, folder / "videos-000000.safetensors")
    return made


def score(workspace: Workspace, benchmark: ClipBenchmark, model: str, instruments: Instruments) -> pd.DataFrame:
    """As `metrics.score_written`, of `RECONSTRUCTION` or `TRUE`."""
    made = workspace.of_benchmark("generated_videos", benchmark.name)
    plan = ModelPlan(model, model, (PIXELS,), None)
    return score_written(made, plan, benchmark, workspace.profile.evaluation, instruments=instruments, try_damage=False)


def main() -> None:
    """Print a row for each metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", action="store_true", help="packaged films of people instead of rendered people")
    parser.add_argument("--truth", action="store_true", help="mark the clips as they are, not their reconstruction")
    parser.add_argument("--clips", type=int, default=32, help="the profile's own number")
    parser.add_argument("--size", type=int, default=128, help="pixels a side; the profile's own are 128")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for the intervals")
    parser.add_argument("--home", type=Path, help="folder that keeps what networks said; default is a temporary one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mark-on-people-") as folder:
        home = Path(folder) if arguments.home is None else arguments.home.resolve()
        workspace = Workspace(home, people_at(arguments.size, arguments.clips, arguments.bootstrap))
        benchmark = build(workspace, arguments.films)
        make_videos(workspace, benchmark)
        # The sound is the same in all: what hears it alone would say so at length.
        instruments = replace(profile_instruments(workspace), dnsmos=None)
        scores = score(workspace, benchmark, TRUE if arguments.truth else RECONSTRUCTION, instruments)
        print(f"{len(benchmark)} clips of {benchmark.name} at {arguments.size} pixels\n")
        print(table_of(scores))
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
