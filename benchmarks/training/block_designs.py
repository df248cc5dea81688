"""Which block design drives mouth, joints and identity better: Wan's blocks (cross-attention to text) against an MMDiT's (text joins self-attention).

    python -m benchmarks.training.block_designs HOME --output FOLDER [--steps 300] [--seeds 2]

HOME is a root whose `training_snapshot`, `condition_features` and `benchmark_sets` are made (by `omnihuman demo`, or by `python -m assets` one by one). Each design is
trained from scratch by the product's own job of stage 3, on all conditions at once, with the same snapshot, batches, optimiser and steps; the MMDiT's feed-forward is as wide
as makes both models' parameters as nearly equal as they come. Each then generates the benchmark's clips as the profile's teacher does, by sound and by pose.

Every number of the score table is printed side by side with its 95 % interval. Killed and started again it goes on: a training from its checkpoint, and
videos from the batches that stand.
"""

import argparse
import json
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from assets.core.markdown import markdown_table
from assets.core.workspace import Workspace
from assets.kinds.judging.generated_videos import computed_in, judging_autoencoder, planned_pipeline
from benchmarks.evaluation.sampling import shown
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, POSE, RECONSTRUCTION, ModelPlan
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.read import load_benchmark
from evaluation.metrics.bootstrap import Estimate
from evaluation.metrics.registry import METRICS
from evaluation.scoring.score import score_benchmark
from media import write_atomically
from media.files import sha256_of_file
from omnihuman.autoencoder import load_autoencoder
from profiles import Profile, load_profile, resolve_source
from training.run.jobs import TrainingJob
from training.run.launch import launch_command, launch_environment
from training.stages.model import build_transformer

WAN, MMDIT = "wan", "mmdit"
# Wan's six blocks of 16 d^2 are one of HunyuanVideo's of two streams (36 d^2) and three of one (15 d^2), with what text is refined by (28 d^2 and more).
MMDIT_BLOCKS = {"architecture": "hunyuan_video", "num_layers": 1, "num_single_layers": 3}
COST = "cost.json"


@dataclass(frozen=True)
class Design:
    """A kind of block, as a profile says it."""

    name: str
    overrides: tuple[str, ...]
    parameters: int


def designs(profile_name: str, overrides: list[str]) -> list[Design]:
    """The profile's own, and the MMDiT whose number of parameters is nearest to it."""
    own = _parameters(load_profile(profile_name, overrides))
    blocks = [f"transformer.{key}={value}" for key, value in MMDIT_BLOCKS.items()]
    found = []
    for width in range(64, 4096, 16):
        sizes = (*blocks, f"transformer.ffn_dim={width}")
        found.append(Design(MMDIT, sizes, _parameters(load_profile(profile_name, [*overrides, *sizes]))))
        if found[-1].parameters > own:
            break
    return [Design(WAN, (), own), min(found, key=lambda one: abs(one.parameters - own))]


def _parameters(profile: Profile) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build_transformer(profile, None, 0).parameters())


def train(workspace: Workspace, profile: Profile, folder: Path, name: str) -> Path:
    """One training of stage 3 from scratch, through the launcher; what is finished stays. Returns its product."""
    output = folder / "out"
    if output.is_dir():
        return output
    job = TrainingJob(
        kind="stage",
        name=name,
        profile_values=profile.model_dump(mode="json"),
        section="stage_3",
        snapshot=str(workspace.data("training_snapshot").resolve()),
        features_root=str(workspace.data("condition_features").resolve()),
        output=str(output),
        work=str(folder / "work"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    command = launch_command(job.write(folder / "job.json"), profile.engine)
    before, started = _children(), time.monotonic()
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, env=launch_environment(), check=True, stdout=log, stderr=subprocess.STDOUT)
    cost = {"cpu_seconds": _children() - before, "seconds": time.monotonic() - started}
    write_atomically(folder / COST, json.dumps(cost).encode())
    return output


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def generate(profile: Profile, benchmark: Benchmark, transformer: Path, plan: ModelPlan, videos: Path) -> None:
    """The model's clips below `videos`; what is there stays."""
    lacking = [mode for mode in plan.modes if not (videos / plan.name / mode / "meta.json").is_file()]
    if not lacking:
        return
    pipeline, weights = (
        planned_pipeline(profile, transformer, plan),
        sha256_of_file(transformer / "diffusion_pytorch_model.safetensors"),
    )
    for mode in lacking:
        folder = videos / plan.name / mode
        generate_videos(
            pipeline,
            benchmark,
            folder,
            mode,
            plan.steps,
            profile.evaluation,
            weights=weights,
            dtype=computed_in(profile),
        )


def side_by_side(scores: pd.DataFrame, names: list[str]) -> str:
    """A row for each number, a column for each model; last whether every interval of one design lies past every interval of the other."""
    rows = []
    there = scores[scores["model"].isin(names)]
    for (mode, metric), part in there.groupby(["mode", "metric"], sort=False):
        own = part.set_index("model")
        numbers = {n: Estimate(*own.loc[n, ["value", "ci_low", "ci_high"]]) for n in names if n in own.index}
        rows.append(
            {"number": metric, "mode": mode}
            | {name: shown(numbers[name]) if name in numbers else "–" for name in names}
            | {"apart": _apart(metric, numbers)}
        )
    return markdown_table(rows)


def _apart(metric: str, numbers: dict[str, Estimate]) -> str:
    sides = [[e for name, e in numbers.items() if name.startswith(design)] for design in (WAN, MMDIT)]
    if not all(sides):
        return ""
    below = max(e.ci_high for e in sides[0]) < min(e.ci_low for e in sides[1])
    above = min(e.ci_low for e in sides[0]) > max(e.ci_high for e in sides[1])
    if not below and not above:
        return "no"
    higher = METRICS[metric].higher_is_better if metric in METRICS else None
    if higher is None:
        return "yes"
    return f"{WAN if higher == above else MMDIT} better"


def main() -> None:
    """Train, generate, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for trainings, videos and tables")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    common = [*args.set, f"stage_3.steps={args.steps}", f"stage_3.watch.every={args.steps}", "stage_3.watch.videos=0"]
    workspace = Workspace(args.home.resolve(), load_profile(args.profile, args.set))
    config = workspace.profile.evaluation
    benchmark = load_benchmark(workspace.data("benchmark_sets"), config.benchmarks[0])
    output, kinds = args.output.resolve(), designs(args.profile, common)
    plans, rows = [], []
    for seed in range(args.seeds):
        for kind in kinds:
            name = f"{kind.name}-{seed}"
            profile = load_profile(args.profile, [*common, *kind.overrides, f"stage_3.seed={seed}"])
            product = train(workspace, profile, output / name, name)
            plans.append(ModelPlan(name, name, (AUDIO, POSE), config.teacher_steps))
            generate(profile, benchmark, product / "transformer", plans[-1], output / "videos")
            cost = json.loads((output / name / COST).read_text())
            loss = pd.read_parquet(product / "losses.parquet")["held_out/loss"].dropna().iloc[-1]
            rows.append({"model": name, "parameters": kind.parameters, "steps": args.steps, "batch": profile.stage_3.batch_size}
                        | {"CPU s": round(cost["cpu_seconds"]), "held-out loss": f"{loss:.4f}"})  # fmt: skip
            print(f"{name} is trained and has generated", flush=True)
    pixels = output / "videos" / RECONSTRUCTION / PIXELS
    if not (pixels / "meta.json").is_file():
        reconstruct(judging_autoencoder(workspace.profile), benchmark, pixels, config.batch_size)
    autoencoder = load_autoencoder(resolve_source(workspace.profile.encoders.autoencoder))
    scores = score_benchmark(
        output / "videos", benchmark, output / "scores", config, plan=plans, autoencoder=autoencoder, try_damage=False
    )
    print(markdown_table(rows))
    print()
    print(side_by_side(scores, [plan.name for plan in sorted(plans, key=lambda plan: plan.name)[::-1]]))


if __name__ == "__main__":
    main()
