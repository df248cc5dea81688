"""Measure every generated video of puppets, and the truth, and put every number in one long table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.benchmark.benchmark_plan import (
    AUDIO,
    GROUND_TRUTH,
    OTHER_IDENTITY,
    PIXELS,
    SECOND_SEED,
    SHUFFLED_AUDIO,
    STUDENT,
    ModelPlan,
    scored_sets,
)
from evaluation.benchmark.cost import COSTS
from evaluation.benchmark.generate import Progress
from evaluation.benchmark.given import given_sound
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.kept_records import KeptRecords
from evaluation.metrics import (
    HighFrequencyRatio,
    JointDiversity,
    Metric,
    MetricScore,
    MouthCorrelation,
    PeakSignalToNoise,
    PixelDiversity,
)
from evaluation.metrics.bootstrap import number_of_set, score_metric
from evaluation.metrics.distances.latent_frechet import LatentFrechetDistance, LatentFrechetDistanceOfArms
from evaluation.metrics.facts import Floor
from evaluation.metrics.mouth import MouthCorrelationWithGivenAudio
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from evaluation.metrics.registry import PUPPET_METRICS
from evaluation.scoring.measured import MeasuredVideos, PuppetSets, benchmark_truth
from evaluation.scoring.per_clip import sample_rows
from evaluation.scoring.score_slices import benchmark_slices, slice_rows
from evaluation.scoring.score_table import score_row
from evaluation.scoring.tables import Tables
from profiles.schema import EvaluationConfig


def score_puppets(
    generated_root: Path,
    benchmark: PuppetBenchmark,
    config: EvaluationConfig,
    plan: Sequence[ModelPlan],
    autoencoder: Any | None = None,
    progress: Progress | None = None,
    kept: KeptRecords | None = None,
) -> Tables:
    """Score ground truth, reconstruction and every planned model against the puppets' exact truth, and the student on slices.

    Args:
        generated_root: `<model>/<mode>` inside.
        benchmark: the truth.
        config: number of bootstrap resamples, seed.
        plan: models and modes.
        autoencoder: with it, latent Fréchet distances to the ground truth are measured too.
        progress: called with (sets done, sets, note).
        kept: what processes have measured of these videos already.

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
    """
    sets = scored_sets(plan)
    videos = PuppetSets(generated_root, benchmark, sets, autoencoder, kept)
    truth, halves = benchmark_truth(benchmark), benchmark_slices(benchmark)
    true = videos.videos(GROUND_TRUTH, PIXELS)
    rows: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    first_seed: dict[str, MeasuredVideos] = {}
    for done, (model, mode) in enumerate(sets, start=1):
        measured = true if model == GROUND_TRUTH else videos.videos(model, mode)
        meta = {} if model == GROUND_TRUTH else videos.made[model, mode].meta
        samples += sample_rows(benchmark, model, mode, measured.read, truth)
        if model == STUDENT:
            slices += slice_rows(benchmark, model, mode, measured.read, truth, halves, config)
        if mode == AUDIO:
            first_seed = {model: measured}  # of the model whose second seed comes next, and no other's
        if mode == SECOND_SEED:
            metrics = _diversity(first_seed[model], measured)
        else:
            metrics = _metrics(model, mode, measured, true, benchmark, truth)
        scores = [score_metric(metric, config.bootstrap, config.seed) for metric in metrics]
        scores += cost_scores(meta, len(measured))
        if model != GROUND_TRUTH:
            scores += _latent_distances(measured, true)
        rows += [score_row(benchmark.name, model, mode, score) for score in scores]
        if progress is not None:
            progress(done, len(sets), f"{model} {mode}")
    rows += _other_identity(benchmark, true.read, truth, config)
    return Tables.of_rows(scores=rows, samples=samples, slices=slices)


def _metrics(
    model: str,
    mode: str,
    measured: MeasuredVideos,
    true: MeasuredVideos,
    benchmark: PuppetBenchmark,
    truth: PuppetTruth,
) -> Iterator[Metric]:
    for kind in PUPPET_METRICS:
        yield kind.of_puppets(measured.read, truth)
        if kind is MouthCorrelation and mode == SHUFFLED_AUDIO:
            every = range(len(benchmark))
            given = np.array([given_sound(benchmark, every, clip) for clip in every])
            yield MouthCorrelationWithGivenAudio(measured.read.opening, truth.opening[given])
    if model != GROUND_TRUTH:
        yield HighFrequencyRatio(measured.detail, true.detail)
    if measured.squared_error is not None:
        yield PeakSignalToNoise(measured.squared_error)


def _diversity(first: MeasuredVideos, second: MeasuredVideos) -> Iterator[Metric]:
    assert second.difference is not None
    yield PixelDiversity(second.difference)
    yield JointDiversity(first.read.joints[: len(second)], second.read.joints)


def _latent_distances(made: MeasuredVideos, true: MeasuredVideos) -> list[MetricScore]:
    """Squared Fréchet distances of 16-channel latent vectors to those of the true clips, all and around the arms.

    Vectors are taken at every latent position: pooled over positions, fewer than 512 clips sit at the measure's floor.
    """
    if made.latents is None or true.latents is None:
        return []
    return [
        number_of_set(kind.name, kind.unit, kind.between(made.latents, true.latents), len(made))
        for kind in (LatentFrechetDistance, LatentFrechetDistanceOfArms)
    ]


def cost_scores(meta: dict[str, Any], clips: int) -> Iterator[MetricScore]:
    """What generating a set cost, as far as its record says."""
    if "seconds_per_clip" in meta:
        yield number_of_set("seconds_per_clip", "s", meta["seconds_per_clip"], clips)
    for name, value in meta.get("cost", {}).items():
        yield number_of_set(name, COSTS[name], value, clips)


def _other_identity(
    benchmark: PuppetBenchmark, measured: Measured, truth: PuppetTruth, config: EvaluationConfig
) -> list[dict[str, Any]]:
    """The floors that true frames have against the next clip's reference."""
    other = PuppetTruth(truth.opening, truth.joints, np.roll(truth.colours, -1, axis=0))
    floor = Floor(GROUND_TRUTH, OTHER_IDENTITY)
    metrics = [kind.of_puppets(measured, other) for kind in PUPPET_METRICS if kind.floor == floor]
    return [
        score_row(benchmark.name, floor.model, floor.mode, score_metric(metric, config.bootstrap, config.seed))
        for metric in metrics
    ]
