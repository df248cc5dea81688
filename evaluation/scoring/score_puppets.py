"""Measure every generated video of puppets, and the truth, and put every number in one long table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.benchmark.benchmark_plan import (
    AUDIO,
    GROUND_TRUTH,
    OTHER_IDENTITY,
    PIXELS,
    RECONSTRUCTION,
    SECOND_SEED,
    SHUFFLED_AUDIO,
    STUDENT,
    ModelPlan,
    scored_sets,
)
from evaluation.benchmark.cost import COSTS
from evaluation.benchmark.generate import Progress, load_generated
from evaluation.benchmark.generated import open_sets
from evaluation.benchmark.given import given_sound
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
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
from evaluation.scoring.measured import benchmark_truth, measure_videos
from evaluation.scoring.per_clip import sample_rows
from evaluation.scoring.score_slices import benchmark_slices, slice_rows
from evaluation.scoring.score_table import score_row
from evaluation.scoring.tables import Tables
from omnihuman.autoencoder import encode_video, to_pixels
from profiles.schema import EvaluationConfig


def score_puppets(
    generated_root: Path,
    benchmark: PuppetBenchmark,
    config: EvaluationConfig,
    plan: Sequence[ModelPlan],
    autoencoder: Any | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Score ground truth, reconstruction and every planned model against the puppets' exact truth, and the student on slices.

    Args:
        generated_root: `<model>/<mode>` inside.
        benchmark: the truth.
        config: number of bootstrap resamples, seed.
        plan: models and modes.
        autoencoder: with it, latent Fréchet distances to the ground truth are measured too.
        progress: called with (sets done, sets, note).

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
    """
    sets = scored_sets(plan)
    # Everything is looked for before anything is measured: a missing folder should not cost minutes.
    open_sets(generated_root, benchmark, sets)
    truth, halves = benchmark_truth(benchmark), benchmark_slices(benchmark)
    rows: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    latents = _LatentFrechet(autoencoder, benchmark) if autoencoder is not None else None
    first_seed: dict[str, tuple[np.ndarray, Measured]] = {}
    for done, (model, mode) in enumerate(sets, start=1):
        frames, meta = (
            (benchmark.frames.numpy(), {})
            if model == GROUND_TRUTH
            else load_generated(generated_root / model / mode, benchmark)
        )
        measured = measure_videos(frames)
        samples += sample_rows(benchmark, model, mode, measured, truth)
        if model == STUDENT:
            slices += slice_rows(benchmark, model, mode, measured, truth, halves, config)
        if mode == AUDIO:
            first_seed = {model: (frames, measured)}  # of the model whose second seed comes next, and no other's
        if mode == SECOND_SEED:
            metrics = _diversity(first_seed[model], (frames, measured))
        else:
            metrics = _metrics(model, mode, frames, measured, benchmark, truth)
        scores = [score_metric(metric, config.bootstrap, config.seed) for metric in metrics]
        scores += cost_scores(meta, len(frames))
        if latents is not None and mode in (AUDIO, PIXELS) and model != GROUND_TRUTH:
            scores += latents(frames)
        rows += [score_row(benchmark.name, model, mode, score) for score in scores]
        if model == GROUND_TRUTH:
            other_identity = _other_identity(benchmark, measured, truth, config)
        if progress is not None:
            progress(done, len(sets), f"{model} {mode}")
    return Tables.of_rows(scores=[*rows, *other_identity], samples=samples, slices=slices)


def _metrics(
    model: str, mode: str, frames: np.ndarray, measured: Measured, benchmark: PuppetBenchmark, truth: PuppetTruth
) -> Iterator[Metric]:
    for kind in PUPPET_METRICS:
        yield kind.of_puppets(measured, truth)
        if kind is MouthCorrelation and mode == SHUFFLED_AUDIO:
            every = range(len(benchmark))
            given = np.array([given_sound(benchmark, every, clip) for clip in every])
            yield MouthCorrelationWithGivenAudio(measured.opening, truth.opening[given])
    if model != GROUND_TRUTH:
        yield HighFrequencyRatio(frames, benchmark.frames.numpy())
    if model == RECONSTRUCTION:
        yield PeakSignalToNoise(frames, benchmark.frames.numpy())


def _diversity(first: tuple[np.ndarray, Measured], second: tuple[np.ndarray, Measured]) -> Iterator[Metric]:
    clips = len(second[0])
    yield PixelDiversity(first[0][:clips], second[0])
    yield JointDiversity(first[1].joints[:clips], second[1].joints)


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


class _LatentFrechet:
    """Squared Fréchet distances of 16-channel latent vectors to those of the true clips, all and around the arms.

    Vectors are taken at every latent position: pooled over positions, fewer than 512 clips sit at the measure's floor.
    """

    def __init__(self, autoencoder: Any, benchmark: PuppetBenchmark):
        self.autoencoder = autoencoder
        self.truth = self._latents(benchmark.frames.numpy())

    def __call__(self, frames: np.ndarray) -> list[MetricScore]:
        made = self._latents(frames)
        return [
            number_of_set(kind.name, kind.unit, kind.between(made, self.truth), len(frames))
            for kind in (LatentFrechetDistance, LatentFrechetDistanceOfArms)
        ]

    def _latents(self, frames: np.ndarray) -> np.ndarray:
        batches = torch.from_numpy(frames).split(16)
        return np.concatenate(
            [encode_video(self.autoencoder, to_pixels(batch)).float().cpu().numpy() for batch in batches]
        )
