"""Measure every generated video and the truth, and put every number in one long table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    generation_plan,
)
from evaluation.benchmark.cost import COSTS
from evaluation.benchmark.generate import Progress, load_generated, shuffled
from evaluation.benchmark.puppet_benchmark import Benchmark
from evaluation.metrics import (
    ColourError,
    DiscMass,
    HighFrequencyRatio,
    JointDiversity,
    JointErrorMean,
    JointErrorMedian,
    Metric,
    MissingJoints,
    MouthCorrelation,
    PeakSignalToNoise,
    PixelDiversity,
    estimate,
    frechet_distance_of_samples,
)
from evaluation.scoring.per_clip import COLUMNS as SAMPLE_COLUMNS
from evaluation.scoring.per_clip import sample_rows
from evaluation.scoring.score_slices import COLUMNS as SLICE_COLUMNS
from evaluation.scoring.score_slices import slice_rows
from media import whole_directory
from media.user_error import UserError
from omnihuman.autoencoder import encode_video, to_pixels
from profiles.schema import EvaluationConfig
from puppets import measure, measure_colours

COLUMNS = ("model", "mode", "metric", "unit", "value", "ci_low", "ci_high", "clips")


@dataclass(frozen=True)
class Measured:
    """`puppets.Measurement` over N clips: opening `(N,T)`, joints `(N,T,4,2)`, mass and missing `(N,T,4)`, colours `(N,T,4,3)`."""

    opening: np.ndarray
    joints: np.ndarray
    mass: np.ndarray
    missing: np.ndarray
    colours: np.ndarray


def measure_videos(frames: np.ndarray) -> Measured:
    """Measure `(N, T, 64, 64, 3)` uint8 clip by clip."""
    clips = [measure(clip) for clip in frames]
    names = ("opening", "joints", "mass", "missing", "colours")
    return Measured(**{name: np.stack([getattr(clip, name) for clip in clips]) for name in names})


def score_benchmark(
    generated_root: Path,
    benchmark: Benchmark,
    destination: Path,
    config: EvaluationConfig,
    *,
    plan: Sequence[ModelPlan] | None = None,
    autoencoder: Any | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score ground truth, reconstruction and every planned model; write `scores.parquet`, `samples.parquet`, and the student's `slices.parquet`.

    Args:
        generated_root: `generated_videos`; `<model>/<mode>` inside.
        benchmark: the truth.
        destination: folder to make or replace.
        config: number of bootstrap resamples, seed.
        plan: models and modes; default `generation_plan(config)`.
        autoencoder: with it, latent Fréchet distances to the ground truth are measured too.
        progress: called with (sets done, sets, note).

    Returns:
        Long table: model, mode, metric, unit, value, ci_low, ci_high, clips. The interval is a 95 % bootstrap over
        clips; NaN where the number is one of the whole set.

    Raises:
        evaluation.benchmark.generate.GenerationError: videos that are missing or belong to another benchmark.
    """
    plan = generation_plan(config) if plan is None else plan
    sets = [(GROUND_TRUTH, PIXELS), (RECONSTRUCTION, PIXELS)] + [(m.name, mode) for m in plan for mode in m.modes]
    # Everything is looked for before anything is measured: a missing folder should not cost minutes.
    videos = {s: load_generated(generated_root / s[0] / s[1], benchmark) for s in sets[1:]}
    rows: list[dict[str, Any]] = []
    slices: list[tuple[Any, ...]] = []
    samples: list[tuple[Any, ...]] = []
    latents = _LatentFrechet(autoencoder, benchmark) if autoencoder is not None else None
    first_seed: dict[str, tuple[np.ndarray, Measured]] = {}
    for done, (model, mode) in enumerate(sets, start=1):
        frames, meta = videos.get((model, mode), (benchmark.frames.numpy(), {}))
        measured = measure_videos(frames)
        samples += sample_rows(model, mode, measured, benchmark)
        if model == STUDENT:
            slices += slice_rows(model, mode, measured, benchmark, config)
        if mode == AUDIO:
            first_seed[model] = frames, measured
        if mode == SECOND_SEED:
            metrics = _diversity(first_seed[model], (frames, measured))
        else:
            metrics = _metrics(model, mode, frames, measured, benchmark)
        for metric in metrics:
            found = estimate(metric, config.bootstrap, config.seed)
            rows.append(
                _row(model, mode, metric.name, metric.unit, len(metric), found.value, found.ci_low, found.ci_high)
            )
        if "seconds_per_clip" in meta:
            rows.append(_row(model, mode, "seconds_per_clip", "s", len(frames), meta["seconds_per_clip"]))
        rows += [
            _row(model, mode, name, COSTS[name], len(frames), value) for name, value in meta.get("cost", {}).items()
        ]
        if latents is not None and mode in (AUDIO, PIXELS) and model != GROUND_TRUTH:
            rows += [_row(model, mode, name, "d^2", len(frames), value) for name, value in latents(frames)]
        if progress is not None:
            progress(done, len(sets), f"{model} {mode}")
    rows.append(_other_identity(benchmark, config))
    scores = pd.DataFrame(rows, columns=list(COLUMNS))
    with whole_directory(destination) as folder:
        scores.to_parquet(folder / "scores.parquet", index=False)
        pd.DataFrame(samples, columns=list(SAMPLE_COLUMNS)).to_parquet(folder / "samples.parquet", index=False)
        if slices:
            pd.DataFrame(slices, columns=list(SLICE_COLUMNS)).to_parquet(folder / "slices.parquet", index=False)
    return scores


class NotScoredYet(UserError, FileNotFoundError):
    """There are no scores; the message says what makes them."""


def load_scores(folder: Path) -> pd.DataFrame:
    """Read `scores.parquet` of `folder`.

    Raises:
        NotScoredYet: there is no such file.
    """
    file = folder / "scores.parquet"
    if not file.is_file():
        raise NotScoredYet(f"no {file}; make it with `python -m assets benchmark_scores`")
    return pd.read_parquet(file)


def score_row(scores: pd.DataFrame, model: str, mode: str, metric: str) -> pd.Series | None:
    """One row of the long table, None where it was not measured."""
    chosen = scores[(scores["model"] == model) & (scores["mode"] == mode) & (scores["metric"] == metric)]
    return chosen.iloc[0] if len(chosen) else None


def score_of(scores: pd.DataFrame, model: str, mode: str, metric: str) -> float:
    """One value of the long table, NaN where it was not measured."""
    found = score_row(scores, model, mode, metric)
    return float("nan") if found is None else float(found["value"])


def _metrics(model: str, mode: str, frames: np.ndarray, measured: Measured, benchmark: Benchmark) -> Iterator[Metric]:
    opening, joints = benchmark.opening.numpy(), benchmark.joints.numpy()
    reference = measure_colours(benchmark.reference.numpy())
    yield MouthCorrelation(measured.opening, opening)
    if mode == SHUFFLED_AUDIO:
        given = shuffled(torch.arange(len(benchmark)), len(benchmark)).numpy()
        yield MouthCorrelation(measured.opening, opening[given], name="mouth_correlation_with_given_audio")
    yield ColourError(measured.colours, reference)
    yield MissingJoints(measured.missing, joints)
    yield DiscMass(measured.mass)
    yield JointErrorMedian(measured.joints, joints)
    yield JointErrorMean(measured.joints, joints)
    if model != GROUND_TRUTH:
        yield HighFrequencyRatio(frames, benchmark.frames.numpy())
    if model == RECONSTRUCTION:
        yield PeakSignalToNoise(frames, benchmark.frames.numpy())


def _diversity(first: tuple[np.ndarray, Measured], second: tuple[np.ndarray, Measured]) -> Iterator[Metric]:
    clips = len(second[0])
    yield PixelDiversity(first[0][:clips], second[0])
    yield JointDiversity(first[1].joints[:clips], second[1].joints)


def _other_identity(benchmark: Benchmark, config: EvaluationConfig) -> dict[str, Any]:
    """The floor of colour error: true frames against the next clip's reference."""
    colours = np.stack([measure_colours(clip) for clip in benchmark.frames.numpy()])
    metric = ColourError(colours, np.roll(measure_colours(benchmark.reference.numpy()), -1, axis=0))
    found = estimate(metric, config.bootstrap, config.seed)
    return _row(
        GROUND_TRUTH, OTHER_IDENTITY, metric.name, metric.unit, len(metric), found.value, found.ci_low, found.ci_high
    )


class _LatentFrechet:
    """Squared Fréchet distances of 16-channel latent vectors to those of the true clips, all and around the arms.

    Vectors are taken at every latent position: pooled over positions, fewer than 512 clips sit at the measure's floor.
    """

    def __init__(self, autoencoder: Any, benchmark: Benchmark):
        self.autoencoder = autoencoder
        self.truth = self._latents(benchmark.frames.numpy())

    def __call__(self, frames: np.ndarray) -> list[tuple[str, float]]:
        own = self._latents(frames)
        return [
            ("latent_frechet", frechet_distance_of_samples(_vectors(own), _vectors(self.truth))),
            ("latent_frechet_arms", frechet_distance_of_samples(_vectors(_arms(own)), _vectors(_arms(self.truth)))),
        ]

    def _latents(self, frames: np.ndarray) -> np.ndarray:
        batches = torch.from_numpy(frames).split(16)
        return np.concatenate([encode_video(self.autoencoder, to_pixels(batch)).float().numpy() for batch in batches])


def _vectors(latents: np.ndarray) -> np.ndarray:
    """`(N, C, F, h, w)` to `(N * F * h * w, C)`."""
    return np.moveaxis(latents, 1, -1).reshape(-1, latents.shape[1])


def _arms(latents: np.ndarray) -> np.ndarray:
    """The columns left and right of head and trunk, below the forehead: on the 64-pixel canvas x < 16 or x >= 48, y >= 24."""
    height, width = latents.shape[3:]
    rows, side = slice(3 * height // 8, None), width // 4
    return np.concatenate([latents[..., rows, :side], latents[..., rows, -side:]], axis=-1)


def _row(
    model: str,
    mode: str,
    metric: str,
    unit: str,
    clips: int,
    value: float,
    ci_low: float = float("nan"),
    ci_high: float = float("nan"),
) -> dict[str, Any]:
    return dict(zip(COLUMNS, (model, mode, metric, unit, value, ci_low, ci_high, clips), strict=True))
