"""A pipeline that no training asset holds, generated and scored on one benchmark: a champion, or a model that is registered by hand."""

from collections.abc import Collection
from pathlib import Path

from assets.core.steps import Report
from assets.core.workspace import Workspace
from assets.kinds.judging.instruments import profile_instruments
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import PIXELS, RECONSTRUCTION, STUDENT, ModelPlan
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.scoring.score import score_benchmark
from omnihuman.pipeline import OmniHumanPipeline
from omnihuman.placement import numbers_of


def score_pipeline(
    workspace: Workspace,
    benchmark: Benchmark,
    pipeline: OmniHumanPipeline,
    modes: Collection[str],
    root: Path,
    weights: str,
    report: Report,
) -> Path:
    """Score a student by its own steps, under the student's rows; what was generated before a kill is kept.

    Args:
        workspace: its profile's seeds and networks.
        benchmark: on which.
        pipeline: the student.
        modes: of generation.
        root: folder for its videos and scores.
        weights: digest of what makes the videos.
        report: called with progress.

    Returns:
        The folder of the tables (`evaluation.scoring.tables.Tables`).
    """
    config = workspace.profile.evaluation
    dtype = numbers_of(pipeline.transformer)
    for mode in modes:
        folder = root / STUDENT / mode
        generate_videos(pipeline, benchmark, folder, mode, None, config, report, weights=weights, dtype=dtype)
    reconstruct(pipeline.vae, benchmark, root / RECONSTRUCTION / PIXELS, config.batch_size)
    puppets = isinstance(benchmark, PuppetBenchmark)
    score_benchmark(
        root,
        benchmark,
        root / "scores",
        config,
        plan=[ModelPlan(STUDENT, "student", tuple(modes), None)],
        autoencoder=pipeline.vae if puppets else None,
        instruments=None if puppets else profile_instruments(workspace),
        progress=report,
    )
    return root / "scores"
