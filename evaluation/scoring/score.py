"""Measure every generated video of a benchmark and the clips themselves; every number goes into one long table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import ModelPlan, generation_plan, scored_sets
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import Progress, Share
from evaluation.benchmark.generated import sampling_note
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.kept_records import KeptRecords
from evaluation.metrics.observation.instruments import Instruments
from evaluation.scoring.clip_sets import ClipSets
from evaluation.scoring.measured import PuppetSets
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
    kept: KeptRecords | None = None,
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
        kept: what `measure_benchmark` has measured of these videos with these instruments.

    Returns:
        Long table of `score_table.COLUMNS`.

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
    """
    plan = generation_plan(config, benchmark) if plan is None else plan
    if isinstance(benchmark, PuppetBenchmark):
        tables = score_puppets(generated_root, benchmark, config, plan, autoencoder, progress, kept)
    else:
        assert isinstance(benchmark, ClipBenchmark)
        tables = score_clips(
            generated_root, benchmark, config, plan, instruments or Instruments(), progress, try_damage, kept
        )
    tables.scores["sampling"] = [
        sampling_note(generated_root / model / mode)
        for model, mode in zip(tables.scores["model"], tables.scores["mode"], strict=True)
    ]
    with whole_directory(destination) as folder:
        tables.write(folder)
    return tables.scores


def measure_benchmark(
    generated_root: Path,
    benchmark: Benchmark,
    config: EvaluationConfig,
    kept: KeptRecords,
    share: Share,
    *,
    plan: Sequence[ModelPlan] | None = None,
    autoencoder: Any | None = None,
    instruments: Instruments | None = None,
    progress: Progress | None = None,
) -> None:
    """Measure a share of the clips, puppets in blocks, for `score_benchmark` of the same videos, whose arguments and errors it has.

    Args:
        kept: where what is measured is put, and is looked for first.
        share: which of the clips; the numbers are the same however many processes share them.
    """
    sets = scored_sets(generation_plan(config, benchmark) if plan is None else plan)
    if isinstance(benchmark, PuppetBenchmark):
        PuppetSets(generated_root, benchmark, sets, autoencoder, kept).measure(share, progress)
    else:
        assert isinstance(benchmark, ClipBenchmark)
        ClipSets(generated_root, benchmark, sets, instruments or Instruments(), kept).measure(share, progress)


def join_tables(parts: Sequence[Path], destination: Path) -> Tables:
    """Write the tables of several scored benchmarks under one another, and return them."""
    joined = Tables.joined([Tables.read(part) for part in parts])
    with whole_directory(destination) as folder:
        joined.write(folder)
    return joined
