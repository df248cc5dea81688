"""One HTML page per evaluation: scores beside floors and ceilings, slices, cost, best and worst samples, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, GROUND_TRUTH, PIXELS, POSE, RECONSTRUCTION, ModelPlan
from evaluation.benchmark.cost import COSTS, without_costs
from evaluation.benchmark.generated import Generated, open_generated
from evaluation.metrics.registry import METRICS, READINGS
from evaluation.pages.pictures import models_sheet
from evaluation.pages.report_pictures import AUDIO_TITLE, POSE_TITLE, cost_against_quality, sample_picture, slices_plot
from evaluation.scoring.comparison_columns import columns_of
from evaluation.scoring.error_analysis import ErrorAnalysis
from evaluation.scoring.metric_floors import why_unusable
from evaluation.scoring.per_clip import BADNESS, ranked_samples
from evaluation.scoring.score_table import score_of
from evaluation.trial.record import standing
from media.hiding import Hide, as_it_is
from media.pages import Number, Section, write_page

WORST, BEST = 6, 3
# Columns of the comparison that the page does not open with: parts of the costs, diversity, and a second reading of a distance. Ten are left.
FOLDED = (
    "latent_frechet_arms", "joint_diversity", "transformer_passes", "transformer_seconds", "decode_seconds", "peak_memory",
    "memory_per_second",
)  # fmt: skip
COUNTED = 3  # of the numbers it opens with, in a list of pages
CAUSE_NOTE = "A correlation over the benchmark, not a cause: try the change as a study before you trust it."


@dataclass(frozen=True)
class Evaluated:
    """What a page is about: the tables of `score_benchmark`, the videos behind them, and the gate's limit by metric.

    `analysis` is None, and `why_none` says why, where the training data is not at hand. `unmeasured` are metrics that were not measured, with
    reason and remedy; every picture goes through `hide`; `fitness` says which metrics notice known damage to the benchmark's own clips.
    """

    scores: pd.DataFrame
    slices: pd.DataFrame
    samples: pd.DataFrame
    benchmark: Benchmark
    generated_root: Path
    plan: Sequence[ModelPlan]
    model: str
    weights: str
    limits: Mapping[str, float]
    analysis: ErrorAnalysis | None = None
    training_clips: Sequence[str] = ()
    why_none: str = ""
    unmeasured: Sequence[dict[str, Any]] = ()
    hide: Hide = as_it_is
    fitness: pd.DataFrame | None = None

    @cached_property
    def own_slices(self) -> pd.DataFrame:
        """Of the judged model."""
        return self.slices[self.slices["model"] == self.model]

    @cached_property
    def slices_plot(self) -> bytes | None:
        """PNG of the judged model's slices, None where there are none; drawn once, for whoever shows it."""
        return slices_plot(self.own_slices, self.scores, self.limits) if len(self.own_slices) else None

    @cached_property
    def cost_against_quality(self) -> bytes:
        """PNG of all models, drawn once."""
        return cost_against_quality(self.scores, self.plan)


def write_evaluation_page(path: Path, evaluation: Evaluated) -> Path:
    """Write the page; returns `path`.

    Raises:
        evaluation.benchmark.generate.GenerationError: the model's videos are missing.
    """
    ranked = ranked_samples(evaluation.samples, evaluation.model)
    made = {
        title: open_generated(evaluation.generated_root / evaluation.model / mode, evaluation.benchmark)
        for title, mode in ((AUDIO_TITLE, AUDIO), (POSE_TITLE, POSE))
        if evaluation.benchmark.driven_by(mode)
    }
    sections = [
        Section("At a glance", _sentence(evaluation), pictures=[_sheet(evaluation)], numbers=headline(evaluation)),
        Section("Scores", SCORES_NOTE, score_rows(evaluation.scores, evaluation.plan, evaluation.fitness), folded=True),
        Section(
            "Slices",
            "Halves of the benchmark; the dotted line is the whole of it.",
            slice_table(evaluation.own_slices),
            [] if evaluation.slices_plot is None else [evaluation.slices_plot],
            folded=True,
        ),
        *(
            [Section("Not measured", "Why not, and what to do.", list(evaluation.unmeasured), folded=True)]
            if evaluation.unmeasured
            else []
        ),
        Section(
            "Cost against quality",
            COST_NOTE,
            cost_rows(evaluation.scores, evaluation.plan),
            [evaluation.cost_against_quality],
            folded=True,
        ),
        _samples("Worst samples", evaluation, ranked.head(WORST), made),
        _samples("Best samples", evaluation, ranked.tail(BEST).iloc[::-1], made),
        *_analysis(evaluation, ranked),
    ]
    title = f"Evaluation of {evaluation.model.replace('_', ' ')} {evaluation.weights[:12]}"
    counts: dict[str, int | float | str] = {
        "clips": len(evaluation.benchmark),
        **{n.title: n.value for n in headline(evaluation)[:COUNTED]},
    }
    return write_page(path, title, sections, counts)


def headline(evaluation: Evaluated) -> list[Number]:
    """The numbers that the page opens with: each that was measured of the judged model, beside the truth's own and the gate's limit."""
    gates = {(kind.name, reading.mode): kind for kind, reading in READINGS.items() if kind.name in evaluation.limits}
    shown = []
    for column in columns_of(evaluation.scores):
        value = score_of(evaluation.scores, evaluation.model, column.mode, column.metric)
        if column.metric in FOLDED or not np.isfinite(value):
            continue
        truth = score_of(evaluation.scores, GROUND_TRUTH, PIXELS, column.metric)
        notes = [f"truth {truth:.{column.digits}f}"] if np.isfinite(truth) else []
        if (kind := gates.get((column.metric, column.mode))) is not None:
            notes.append(f"gate {'≥' if kind.higher_is_better else '≤'} {evaluation.limits[kind.name]:g}")
        shown.append(Number(f"{value:.{column.digits}f}", column.title, ", ".join(notes)))
    return shown


def _sheet(evaluation: Evaluated) -> bytes:
    """The judged model below the truth and the first model of the plan, its teacher."""
    shown = [model for model in evaluation.plan if model is evaluation.plan[0] or model.name == evaluation.model]
    mode = AUDIO if evaluation.benchmark.driven_by(AUDIO) else POSE
    videos = {model.title: evaluation.generated_root / model.name / mode for model in shown}
    return models_sheet(evaluation.benchmark, videos, hide=evaluation.hide)


SCORES_NOTE = (
    "Intervals are 95 % bootstraps over clips. The ceiling is the ground truth measured the same way, the reconstruction is what the "
    "autoencoder can show at best; the floor is a condition that cannot be followed (another clip's sound, another person's reference), of people's clips the worst known damage to them."
)
COST_NOTE = (
    "Seconds are of the machine that generated, for one second of video; memory is the most that the process (on a GPU, the device) held, "
    "and what it took beyond the loaded models for each second of video in a batch."
)


def score_rows(
    scores: pd.DataFrame, plan: Sequence[ModelPlan], fitness: pd.DataFrame | None = None
) -> list[dict[str, Any]]:
    """Every quality score of every model and mode, with its ceilings, its floor, and whether the metric tells those apart."""
    damaged = {} if fitness is None else fitness.set_index("metric").to_dict("index")
    titles = {model.name: model.title for model in plan}
    quality = without_costs(scores[scores["model"].isin(titles)])
    # Models under one another, in the order in which metrics first appear.
    places = {
        pair: place for place, pair in enumerate(dict.fromkeys(zip(quality["metric"], quality["mode"], strict=True)))
    }
    quality = quality.iloc[
        np.argsort([places[pair] for pair in zip(quality["metric"], quality["mode"], strict=True)], kind="stable")
    ]
    rows = []
    for row in quality.itertuples():
        metric = str(row.metric)
        kind = METRICS[metric]
        floor = float("nan") if kind.floor is None else score_of(scores, kind.floor.model, kind.floor.mode, metric)
        trust = "no floor" if kind.floor is None else why_unusable(scores, kind) or "yes"
        if metric in damaged:
            floor = damaged[metric]["floor"]
            trust = "yes" if damaged[metric]["usable"] else damaged[metric]["reason"]
        numbers = {
            "value": row.value, "low": row.ci_low, "high": row.ci_high,
            "ceiling": score_of(scores, GROUND_TRUTH, PIXELS, metric), "reconstruction": score_of(scores, RECONSTRUCTION, PIXELS, metric), "floor": floor,
        }  # fmt: skip
        shown = {name: "–" if np.isnan(value) else float(value) for name, value in numbers.items()}
        rows.append(
            {
                "metric": metric,
                "mode": row.mode,
                "model": titles[str(row.model)],
                "unit": row.unit,
                "defined on": f"{row.coverage:.0%}",
                **shown,
                "told from its floor": trust,
                "on trial": standing(metric).verdict,
            }
        )
    return rows


def slice_table(slices: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of one model's slices."""
    columns = ["metric", "mode", "slice", "value", "ci_low", "ci_high", "clips"]
    return [dict(zip(columns, row, strict=True)) for row in slices[columns].itertuples(index=False)]


def cost_rows(scores: pd.DataFrame, plan: Sequence[ModelPlan]) -> list[dict[str, Any]]:
    """One row per model and mode that knows its cost."""
    rows = []
    for model in plan:
        for mode in model.modes:
            values = {f"{name} [{unit}]": score_of(scores, model.name, mode, name) for name, unit in COSTS.items()}
            if all(np.isfinite(list(values.values()))):
                rows.append({"model": model.title, "mode": mode, "steps": model.steps or 1, **values})
    return rows


def _sentence(evaluation: Evaluated) -> str:
    bench = evaluation.benchmark
    return (
        f"{evaluation.model}, weights {evaluation.weights}, on {len(bench)} held-out clips of {bench.shape(0)[0]} frames at {bench.fps:g} a second "
        f"(benchmark {bench.name}, {bench.digest[:12]}), beside {', '.join(model.title for model in evaluation.plan)}."
    )


def _samples(title: str, evaluation: Evaluated, rows: pd.DataFrame, made: Mapping[str, Generated]) -> Section:
    pictures, captions = [], []
    for name, row in rows.iterrows():
        clip = evaluation.benchmark.names.index(str(name))
        videos = {
            title: generated.frames(str(name)) for title, generated in made.items() if str(name) in generated.names
        }
        pictures.append(sample_picture(evaluation.benchmark, clip, videos, evaluation.hide))
        values = "; ".join(f"{column} {value:.3g}" for column, value in row.items() if column != BADNESS)
        captions.append(f"{name}: “{evaluation.benchmark.captions[clip]}” — {values}; badness {row[BADNESS]:.2f}")
    note = "By badness: the mean over the gate's metrics of the share of clips that do no worse. 1 is the worst in all of them."
    return Section(title, note, pictures=pictures, captions=captions, folded=True)


def _analysis(evaluation: Evaluated, ranked: pd.DataFrame) -> list[Section]:
    if evaluation.analysis is None:
        return [Section("Error analysis", evaluation.why_none, folded=True)]
    analysis, names = evaluation.analysis, evaluation.training_clips
    rows = []
    for name in ranked.index[:WORST]:
        clip = evaluation.benchmark.names.index(str(name))
        near = ", ".join(
            f"{names[i]} ({d:.1f})" for i, d in zip(analysis.nearest[clip], analysis.distances[clip], strict=True)
        )
        rows.append(
            {"sample": name, BADNESS: float(ranked.loc[name, BADNESS]), "nearest training clips (distance)": near}
        )
    looked = f"Looked at: {', '.join(analysis.looked_at)}."
    none = f"None of it goes with the error beyond chance, so nothing is proposed. {looked}"
    proposals = [{"kind": p.kind, "change": p.change, "evidence": p.evidence} for p in analysis.proposals]
    neighbours = f"Of {len(names)} training clips; in the autoencoder's latents: mean and movement in the quarters of the picture, each in units of its spread."
    return [
        Section("Nearest training clips of the worst samples", neighbours, rows, folded=True),
        Section("Proposed changes", f"{CAUSE_NOTE} {looked}" if proposals else none, proposals, folded=True),
    ]
