"""Measure every generated video of a benchmark and the clips themselves; every number goes into one long table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import ModelPlan, generation_plan
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import Progress
from evaluation.benchmark.generated import sampling_note
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.metrics.observation.instruments import Instruments
from evaluation.scoring.score_clips import score_clips
from evaluation.scoring.score_puppets import score_puppets
from evaluation.scoring.tables import Tables
from media import whole_directory
from profiles.schema import EvaluationConfig


def score_benchmark(
    generated_root: Path,
    benchmark: Benchmark,
    destination: Path,
    config: EvaluationConfig,
    *,
    plan: Sequence[ModelPlan] | None = None,
    autoencoder: Any | None = None,
    instruments: Instruments | None = None,
    progress: Progress | None = None,
    try_damage: bool = True,
) -> pd.DataFrame:
    """Score the clips themselves, their reconstruction and every planned model; write the tables of `Tables`.

    Args:
        generated_root: the benchmark's part of `generated_videos`; `<model>/<mode>` inside.
        benchmark: puppets are scored against their exact truth, real clips with whatever network there is.
        destination: folder to make or replace.
        config: number of bootstrap resamples, seed.
        plan: models and modes; default `generation_plan(config)` as far as the benchmark has what the modes give.
        autoencoder: with it, latent Fréchet distances of puppets are measured too.
        instruments: what looks at real clips; None is nothing but pixels.
        progress: called with (sets done, sets, note).
        try_damage: of real clips, as in `score_clips`.

    Returns:
        Long table of `score_table.COLUMNS`.

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
    """
    plan = generation_plan(config, benchmark) if plan is None else plan
    if isinstance(benchmark, PuppetBenchmark):
        tables = score_puppets(generated_root, benchmark, config, plan, autoencoder, progress)
    else:
        assert isinstance(benchmark, ClipBenchmark)
        tables = score_clips(
            generated_root, benchmark, config, plan, instruments or Instruments(), progress, try_damage
        )
    tables.scores["sampling"] = [
        sampling_note(generated_root / model / mode)
        for model, mode in zip(tables.scores["model"], tables.scores["mode"], strict=True)
    ]
    with whole_directory(destination) as folder:
        tables.write(folder)
    return tables.scores


def join_tables(parts: Sequence[Path], destination: Path) -> Tables:
    """Write the tables of several scored benchmarks under one another, and return them."""
    joined = Tables.joined([Tables.read(part) for part in parts])
    with whole_directory(destination) as folder:
        joined.write(folder)
    return joined
