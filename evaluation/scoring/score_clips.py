"""Measure every generated video of real clips, and the clips themselves, with whatever looks at them; one clip in memory at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.baselines.sanity import DamageTrial
from evaluation.benchmark.benchmark_plan import AUDIO, POSE, STUDENT, ModelPlan, scored_sets
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import Progress
from evaluation.kept_records import KeptRecords
from evaluation.metrics import ClipMean, MetricScore, StreamingMetric
from evaluation.metrics.bootstrap import estimate
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import OF_PUPPETS
from evaluation.metrics.registry import METRICS
from evaluation.scoring.clip_sets import ClipSets
from evaluation.scoring.score_puppets import cost_scores
from evaluation.scoring.score_table import score_row
from evaluation.scoring.tables import Tables
from profiles.schema import EvaluationConfig

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
    kept: KeptRecords | None = None,
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
        kept: what processes have measured of these videos already.

    Raises:
        evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
        evaluation.metrics.MetricError: a clip that cannot be scored.
    """
    sets = scored_sets(plan)
    videos = ClipSets(generated_root, benchmark, sets, instruments, kept, try_damage)
    halves = _halves(benchmark)
    rows: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    unmeasured: dict[str, dict[str, Any]] = {}
    for done, (model, mode) in enumerate(sets, start=1):
        panel, made = videos.panel(model, mode), videos.made.get((model, mode))
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
        fitness=[] if videos.damage is None else _fitness(benchmark.name, videos.damage, config, progress),
        unmeasured=[
            row for name, row in unmeasured.items() if name not in measured and not OF_PUPPETS & {*METRICS[name].needs}
        ],
    )


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
    benchmark: str, damage: DamageTrial, config: EvaluationConfig, progress: Progress | None
) -> list[dict[str, Any]]:
    """Which metrics notice known damage to these very clips."""
    return [
        {
            "benchmark": benchmark,
            "metric": name,
            "unit": METRICS[name].unit,
            "ceiling": verdict.ceiling.value,
            "floor": float("nan") if verdict.floor is None else verdict.floor.value,
            "order": json.dumps(verdict.order),
            "usable": verdict.usable,
            "reason": verdict.reason,
        }
        for name, verdict in damage.verdicts(config.bootstrap, config.seed, progress).items()
    ]
