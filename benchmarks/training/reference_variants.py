"""Where the reference's tokens stand: far away in time (Wan2.2-S2V) against no temporal rotation (OmniHuman-1).

`python -m benchmarks.training.reference_variants` after `make demo`: trains one stage of text, reference and audio per variant and
seed from the same initial weights on the demo's snapshot, and compares what the reference controls on held-out puppets.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from assets.core.workspace import Workspace, open_workspace
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark, load_puppets
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from profiles.judging import PUPPETS
from puppets import measure
from training.run.jobs import TrainingJob
from training.run.launch import launch_command, launch_environment

VARIANTS = ("far", "zero")
RATIOS = "{text: 0.9, reference: 0.7, audio: 0.5}"


def main() -> None:
    """Train, sample, print one row per variant and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--clips", type=int, default=48)
    chosen = parser.parse_args()
    workspace = open_workspace()
    benchmark = load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))
    print("| reference tokens | seed | held-out loss | colour error | mouth r |\n| --- | ---: | ---: | ---: | ---: |")
    for variant in VARIANTS:
        for seed in chosen.seeds:
            with tempfile.TemporaryDirectory() as folder:
                output = train(workspace, Path(folder), variant, chosen.steps, seed)
                colour, mouth = score(workspace, output, benchmark, chosen.clips)
                loss = last_loss(output)
            print(f"| {variant} | {seed} | {loss:.4f} | {colour:.4f} | {mouth:.3f} |", flush=True)


def train(workspace: Workspace, folder: Path, variant: str, steps: int, seed: int) -> Path:
    """One stage from scratch, through the launcher; returns the output folder."""
    overrides = [
        f"transformer.reference_position={variant}",
        f"stage_2.steps={steps}",
        f"stage_2.seed={seed}",
        f"stage_2.ratios={RATIOS}",
        "stage_2.decay_to=0.1",
        f"stage_2.watch.every={steps}",
        "stage_2.watch.videos=0",
    ]
    profile = load_profile("laptop", overrides)
    job = TrainingJob(
        kind="stage",
        name=f"reference-{variant}",
        profile_values=profile.model_dump(mode="json"),
        section="stage_2",
        snapshot=str(workspace.data("training_snapshot")),
        features_root=str(workspace.data("condition_features")),
        output=str(folder / "out"),
        work=str(folder / "work"),
    )
    command = launch_command(job.write(folder / "job.json"), profile.engine)
    subprocess.run(command, env=launch_environment(), check=True, stdout=subprocess.DEVNULL)
    return folder / "out"


def last_loss(output: Path) -> float:
    """The held-out loss at the end of training."""
    import pandas as pd

    return float(pd.read_parquet(output / "losses.parquet")["held_out/loss"].dropna().iloc[-1])


def score(workspace: Workspace, output: Path, benchmark: PuppetBenchmark, clips: int) -> tuple[float, float]:
    """Colour error against the reference, and mouth correlation, audio-driven in 20 steps."""
    pipeline = build_pipeline(workspace.profile, output / "transformer", 20)
    measured = []
    for batch in torch.arange(min(clips, len(benchmark))).split(16):
        frames = pipeline(
            prompt=[benchmark.captions[i] for i in batch],
            image=benchmark.reference[batch],
            audio=benchmark.audio[batch],
            num_frames=benchmark.frames.shape[1],
            num_inference_steps=20,
            generator=[torch.Generator().manual_seed(int(i)) for i in batch],
        ).frames
        measured += [measure(clip) for clip in frames.numpy()]
    count = len(measured)
    colours = np.stack([m.colours for m in measured])
    error = float(np.abs(colours - benchmark.colours.numpy()[:count, None]).mean())
    opening = np.stack([m.opening for m in measured]).ravel()
    return error, float(np.corrcoef(opening, benchmark.opening.numpy()[:count].ravel())[0, 1])


if __name__ == "__main__":
    main()
