"""Weights in 8 bits against whole ones on a home's benchmark: `python -m benchmarks.generation.quantised HOME --output FOLDER`.

Each model makes the benchmark's videos three times, of the same noise: with whole weights, int8 and fp8. Printed are what the weights take, how long
the transformer takes (in turns, the least of a few rounds), and every metric with its interval; where a metric has a number for each clip, also
the mean difference of the same clips from whole weights.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from assets.core.markdown import markdown_table
from assets.core.names import SOURCES
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import load_benchmarks
from assets.kinds.judging.generated_videos import judging_autoencoder, planned_pipeline
from assets.kinds.judging.instruments import profile_instruments
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import STUDENT, TEACHER, ModelPlan, generation_plan
from evaluation.benchmark.cost import CostMeter, without_costs
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.scoring.score import score_benchmark
from evaluation.scoring.tables import Tables
from media.records import ProductRecord
from omnihuman.bases.quantised import MODES, weight_bytes
from omnihuman.placement import numbers_of
from profiles import load_profile

WHOLE = "none"
MIB = 2**20
PARTS = ("transformer", "text_encoder", "audio_encoder", "vae")


def main() -> None:
    """Print the tables; videos and scores stay in `--output`, and what stands there is not made again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="root of a demo, or of a part of it")
    parser.add_argument("--output", type=Path, required=True, help="folder for videos and scores")
    parser.add_argument("--model", action="append", help=f"of generated_videos; default {TEACHER} and {STUDENT}")
    parser.add_argument("--mode", action="append", help="what drives the videos; default all that a model is asked in")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile")
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    workspaces = {
        mode: Workspace(args.home.resolve(), load_profile(args.profile, [*args.set, f"evaluation.quantise={mode}"]))
        for mode in (WHOLE, *MODES)
    }
    benchmark = load_benchmarks(workspaces[WHOLE])[0]
    wanted = args.model or [TEACHER, STUDENT]
    plan = [
        replace(model, modes=tuple(mode for mode in model.modes if mode in (args.mode or model.modes)))
        for model in generation_plan(workspaces[WHOLE].profile.evaluation, benchmark)
        if model.name in wanted
    ]
    weighed, made = [], []
    for model in plan:
        pipelines = {mode: _pipeline(workspace, model) for mode, workspace in workspaces.items()}
        weighed += list(_weighed(model, pipelines, args.rounds))
        for mode, pipeline in pipelines.items():
            made.append(replace(model, name=f"{model.name}-{mode}"))
            _generate(workspaces[mode], benchmark, model, made[-1], pipeline, args.output / "videos")
    print(markdown_table(weighed))
    tables = _scored(workspaces[WHOLE], benchmark, made, args.output)
    for model in plan:
        print(f"\n{model.title}\n\n{markdown_table(list(_compared(tables, model)))}")


def _pipeline(workspace: Workspace, model: ModelPlan) -> Any:
    return planned_pipeline(workspace.profile, workspace.data(SOURCES[model.name]) / "transformer", model)


def _weighed(model: ModelPlan, pipelines: Mapping[str, Any], rounds: int) -> Any:
    """A row for each kind of numbers: MiB of weights, and seconds of the transformer for one window."""
    seconds = {mode: float("inf") for mode in pipelines}
    for _ in range(rounds):
        for mode, pipeline in pipelines.items():
            with torch.no_grad(), CostMeter(pipeline) as meter:
                height, width = pipeline.shapes()[0]
                pipeline(
                    "A person talks.",
                    height=height,
                    width=width,
                    num_inference_steps=model.steps,
                    output_type="latents",
                )
            seconds[mode] = min(seconds[mode], meter.cost.transformer_seconds)
    whole = weight_bytes(pipelines[WHOLE].transformer)
    everything = _bytes_of_all(pipelines[WHOLE])
    for mode, pipeline in pipelines.items():
        held, all_held = weight_bytes(pipeline.transformer), _bytes_of_all(pipeline)
        yield {
            "model": model.name, "computes in": numbers_of(pipeline.transformer), "transformer, MiB": f"{held / MIB:.2f}", "less": f"{1 - held / whole:.1%}",
            "whole pipeline, MiB": f"{all_held / MIB:.1f}", "less ": f"{1 - all_held / everything:.1%}",
            "transformer, s a window": f"{seconds[mode]:.4f}", "of whole weights'": f"{seconds[mode] / seconds[WHOLE]:.2f}",
        }  # fmt: skip


def _bytes_of_all(pipeline: Any) -> int:
    return sum(weight_bytes(getattr(pipeline, part)) for part in PARTS)


def _generate(
    workspace: Workspace, benchmark: Benchmark, model: ModelPlan, named: ModelPlan, pipeline: Any, root: Path
) -> None:
    config, numbers = workspace.profile.evaluation, numbers_of(pipeline.transformer)
    weights = ProductRecord.read(workspace.data(SOURCES[model.name])).weights_digest
    for mode in model.modes:
        folder = root / named.name / mode
        if not (folder / "meta.json").is_file():
            generate_videos(pipeline, benchmark, folder, mode, model.steps, config, weights=weights, dtype=numbers)


def _scored(workspace: Workspace, benchmark: Benchmark, made: Sequence[ModelPlan], output: Path) -> Tables:
    config, puppets = workspace.profile.evaluation, isinstance(benchmark, PuppetBenchmark)
    autoencoder = judging_autoencoder(workspace.profile)
    reconstruct(autoencoder, benchmark, output / "videos" / "reconstruction" / "pixels", config.batch_size)
    score_benchmark(
        output / "videos", benchmark, output / "scores", config, plan=made, autoencoder=autoencoder if puppets else None,
        instruments=None if puppets else profile_instruments(workspace), try_damage=False,
    )  # fmt: skip
    return Tables.read(output / "scores")


def _compared(tables: Tables, model: ModelPlan) -> Any:
    """A row for each metric and mode."""
    scores = without_costs(tables.scores)
    for mode in model.modes:
        of_mode = scores[(scores["mode"] == mode) & scores["value"].notna()]
        own = {
            kind: of_mode[of_mode["model"] == f"{model.name}-{kind}"].set_index("metric") for kind in (WHOLE, *MODES)
        }
        for metric in own[WHOLE].index:
            row = {"driven by": mode, "metric": metric, "whole": _interval(own[WHOLE].loc[metric])}
            for kind in MODES:
                row[kind] = _interval(own[kind].loc[metric]) if metric in own[kind].index else "-"
                row[f"{kind} - whole, same clips"] = _difference(tables.samples, model.name, kind, mode, metric)
            yield row


def _interval(score: Any) -> str:
    value = f"{score['value']:.4g}"
    return value if np.isnan(score["ci_low"]) else f"{value} ({score['ci_low']:.4g} to {score['ci_high']:.4g})"


def _difference(samples: pd.DataFrame, model: str, kind: str, mode: str, metric: str, resamples: int = 2000) -> str:
    """Mean over clips with its 95 % bootstrap interval; nothing where the metric has no number for a clip."""
    rows = samples[(samples["mode"] == mode) & (samples["metric"] == metric)]
    whole, rounded = (
        rows[rows["model"] == f"{model}-{one}"].set_index("clip")["value"].astype(float) for one in (WHOLE, kind)
    )
    apart = (rounded - whole).dropna().to_numpy()
    if not len(apart):
        return ""
    draws = np.random.default_rng(0).integers(0, len(apart), (resamples, len(apart)))
    low, high = np.quantile(apart[draws].mean(axis=1), [0.025, 0.975])
    return f"{apart.mean():+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
