"""Measure every generated video of real clips, and the clips themselves, with whatever looks at them; one clip in memory at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.baselines.sanity import judge_metrics
from evaluation.baselines.videos import Sample, Samples
from evaluation.benchmark.benchmark_plan import (
    AUDIO,
    POSE,
    POSE_ALONE,
    SECOND_SEED,
    SHUFFLED_AUDIO,
    SHUFFLED_POSE,
    STUDENT,
    ModelPlan,
    scored_sets,
)
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import Progress
from evaluation.benchmark.generated import Generated, open_sets
from evaluation.benchmark.given import given_sound
from evaluation.metrics import ClipMean, MetricScore, StreamingMetric
from evaluation.metrics.bootstrap import estimate
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import OF_PUPPETS, Need, judges_of
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS
from evaluation.panel import Panel
from evaluation.scoring.score_puppets import cost_scores
from evaluation.scoring.score_table import score_row
from evaluation.scoring.tables import Tables
from media import encode_clip
from profiles.schema import EvaluationConfig

FITNESS_SAMPLES = 32  # on which known damage is tried
# Column of the manifest to the names of its lower and upper half.
HALVES = {
    "face_luma": ("faces: dark", "faces: light"),
    "face_size": ("faces: small", "faces: large"),
    "body_motion": ("body: slow", "body: fast"),
    "mouth_motion": ("mouth: slow", "mouth: fast"),
    "loudness": ("sound: quiet", "sound: loud"),
}


def score_clips(
    generated_root: Path,
    benchmark: ClipBenchmark,
    config: EvaluationConfig,
    plan: Sequence[ModelPlan],
    instruments: Instruments,
    progress: Progress | None = None,
    try_damage: bool = True,
) -> Tables:
    """Score the clips themselves, their reconstruction and every planned model with every metric that can be had.

    Args:
        generated_root: `<model>/<mode>` inside.
        benchmark: the clips.
        config: number of bootstrap resamples, seed.
        plan: models and modes.
        instruments: what looks.
        progress: called with (sets done, sets, note).
        try_damage: also measure which metrics notice known damage to these clips, which takes as long as five sets.

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
        evaluation.metrics.MetricError: a clip that cannot be scored.
    """
    sets = scored_sets(plan)
    # Everything is looked for before anything is measured: a missing folder should not cost minutes.
    videos = open_sets(generated_root, benchmark, sets)
    halves = _halves(benchmark)
    rows: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    unmeasured: dict[str, dict[str, Any]] = {}
    for done, (model, mode) in enumerate(sets, start=1):
        made = videos.get((model, mode))
        panel = _panel(benchmark, mode, made, videos.get((model, AUDIO)), instruments)
        for metric in panel.metrics.values():
            score = metric.compute(config.bootstrap, config.seed)
            row = score_row(benchmark.name, model, mode, score)
            doubt = panel.doubts.get(metric.name, "")
            rows.append({**row, "warning": "; ".join(said for said in (row["warning"], doubt) if said)})
            samples += _clip_rows(benchmark.name, model, mode, metric)
            if model == STUDENT and _read_in(metric.name, mode):
                slices += _slice_rows(benchmark.name, model, mode, metric, halves, config)
        if made is not None:
            rows += [score_row(benchmark.name, model, mode, cost) for cost in cost_scores(made.meta, len(made))]
        for absent in panel.unmeasured:
            reason = {"reason": absent.reason, "remedy": absent.remedy}
            unmeasured.setdefault(absent.metric, {"benchmark": benchmark.name, "metric": absent.metric, **reason})
        if progress is not None:
            progress(done, len(sets), f"{model} {mode}")
    measured = {row["metric"] for row in rows}
    return Tables.of_rows(
        scores=rows,
        samples=samples,
        slices=slices,
        fitness=_fitness(benchmark, instruments, config, progress) if try_damage else [],
        unmeasured=[
            row for name, row in unmeasured.items() if name not in measured and not OF_PUPPETS & {*METRICS[name].needs}
        ],
    )


def _panel(
    benchmark: ClipBenchmark,
    mode: str,
    made: Generated | None,
    first_seed: Generated | None,
    instruments: Instruments,
) -> Panel:
    """Every metric of one set of videos, fed with all of its clips; of a second seed only what compares it with the first.

    Of the modes that show what a pose does by itself and where another's leads, only what keypoints tell: they are there to be floors.
    """
    has: set[Need] = {"truth_frames", "reference"}
    if benchmark.knows_truth:
        has |= {"person_truth"}
    if benchmark.driven_by(AUDIO) and mode != POSE_ALONE:
        has |= {"sound", "sounding_file"}
    only = None
    if mode == SECOND_SEED:
        has |= {"second_seed"}
        only = [name for name, kind in METRICS.items() if "second_seed" in kind.needs]
    if mode in (POSE_ALONE, SHUFFLED_POSE):
        only = [name for name, kind in METRICS.items() if {*judges_of(kind.needs)} == {"keypoints"}]
    panel = Panel(instruments, has, only)
    numbers = {name: clip for clip, name in enumerate(benchmark.names)}
    names = benchmark.names if made is None else made.names
    heard = [numbers[name] for name in names if benchmark.heard(numbers[name])]
    for name in names:
        clip = numbers[name]
        sample = benchmark.sample(clip)
        real = sample.frames.numpy()
        frames = real if made is None else made.frames(name)
        sound = None if mode == POSE_ALONE else sample.audio
        if mode == SHUFFLED_AUDIO:
            sound = benchmark.sample(given_sound(benchmark, heard, clip)).audio
        wave = None if sound is None else sound.numpy()
        other = first_seed.frames(name) if mode == SECOND_SEED and first_seed is not None else None
        panel.update(
            Observed(
                name,
                benchmark.fps,
                frames,
                instruments,
                real=real,
                reference=sample.reference.numpy(),
                sound=wave,
                sample_rate=benchmark.sample_rate,
                file=None if wave is None else partial(encode_clip, frames, benchmark.fps, wave, benchmark.sample_rate),
                second_seed=other,
                person_truth=partial(benchmark.truth, clip) if benchmark.knows_truth else None,
            )
        )
    return panel


def _read_in(metric: str, mode: str) -> bool:
    reading = METRICS[metric].reading
    return reading is not None and mode in (AUDIO, POSE)


def _clip_rows(benchmark: str, model: str, mode: str, metric: StreamingMetric) -> Iterator[dict[str, Any]]:
    """The numbers of each clip of a metric that opens tables; a distance between sets has none."""
    if isinstance(metric, ClipMean) and _read_in(metric.name, mode):
        place = {"benchmark": benchmark, "model": model, "mode": mode, "metric": metric.name}
        yield from ({**place, "clip": clip, "value": value} for clip, value in metric.per_clip().items())


class _Part:
    """A metric over some of its clips."""

    def __init__(self, metric: StreamingMetric, clips: np.ndarray):
        self.name, self.unit, self._metric, self._clips = metric.name, metric.unit, metric, clips

    def __len__(self) -> int:
        return len(self._clips)

    def __call__(self, clips: np.ndarray) -> float:
        return self._metric(self._clips[clips])


def _slice_rows(
    benchmark: str,
    model: str,
    mode: str,
    metric: StreamingMetric,
    halves: Mapping[str, frozenset[str]],
    config: EvaluationConfig,
) -> Iterator[dict[str, Any]]:
    resamples = config.bootstrap if metric.most_resamples is None else min(config.bootstrap, metric.most_resamples)
    for name, members in halves.items():
        clips = np.array([place for place, clip in enumerate(metric.clips) if clip in members], int)
        if len(clips) < (1 if isinstance(metric, ClipMean) else 2):
            continue
        number = estimate(_Part(metric, clips), resamples, config.seed, centred=metric.centred)
        score = MetricScore(metric.name, metric.unit, number.value, number.ci_low, number.ci_high, len(clips))
        yield score_row(benchmark, model, mode, score, slice=name)


def _halves(benchmark: ClipBenchmark) -> dict[str, frozenset[str]]:
    """Names of the samples in each half, at the median of what was measured when the set was frozen; those without the fact are in neither."""
    found: dict[str, frozenset[str]] = {}
    for column, titles in HALVES.items():
        values = benchmark.frozen.manifest.set_index("sample_id")[column].dropna()
        if len(values) < 2:
            continue
        # By rank: equal values must not leave one half empty.
        upper = values.rank(method="first") > len(values) / 2
        found |= {title: frozenset(values.index[side]) for title, side in zip(titles, (~upper, upper), strict=True)}
    return found


def _fitness(
    benchmark: ClipBenchmark, instruments: Instruments, config: EvaluationConfig, progress: Progress | None
) -> list[dict[str, Any]]:
    """Which metrics notice known damage to these very clips."""
    if len(benchmark) < 2:
        return []
    samples = []
    for clip in range(min(FITNESS_SAMPLES, len(benchmark))):
        frames, height, width = benchmark.shape(clip)
        path = benchmark.path / benchmark.frozen.samples[clip].clip
        samples.append(Sample(benchmark.names[clip], path, frames, benchmark.fps, height, width, benchmark.heard(clip)))
    judged = Samples(benchmark.name, tuple(samples), benchmark.digest)
    verdicts = judge_metrics(instruments, judged, config.bootstrap, config.seed, progress)
    return [
        {
            "benchmark": benchmark.name,
            "metric": name,
            "unit": METRICS[name].unit,
            "ceiling": verdict.ceiling.value,
            "floor": float("nan") if verdict.floor is None else verdict.floor.value,
            "order": json.dumps(verdict.order),
            "usable": verdict.usable,
            "reason": verdict.reason,
        }
        for name, verdict in verdicts.items()
    ]
