"""May the challenger become champion? Evidence, criteria of the profile, slices, and the champion that stands."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from evaluation.benchmark.benchmark_plan import STUDENT
from evaluation.metrics import MetricScore
from evaluation.scoring.criteria import Demand, demands
from evaluation.scoring.metric_floors import why_unusable
from evaluation.scoring.score_table import find_score, of_benchmark
from profiles.judging import GateConfig

FEWEST_COVERED = 0.5  # share of the samples on which a metric must be defined before it may gate


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what was needed, whether it holds, in words."""

    name: str
    value: float
    bound: float
    passed: bool
    message: str


@dataclass(frozen=True)
class Decision:
    """`promote` is true when every check passed; `reasons` are the messages of those that did not."""

    promote: bool
    reasons: list[str]
    checks: list[Check]


def decide(
    scores: pd.DataFrame,
    gate: GateConfig,
    champion_scores: pd.DataFrame | None,
    model: str = STUDENT,
    slices: pd.DataFrame | None = None,
    evidence: Sequence[Check] = (),
    fitness: pd.DataFrame | None = None,
) -> Decision:
    """Judge a challenger. Pure: the same tables give the same decision.

    Args:
        scores: the challenger's `scores.parquet`.
        gate: criteria; `champion_margin`, the share of a threshold by which a challenger may be worse; `headline`, the
            criterion by which it must be better; `slice_slack`, by how much a slice may miss a threshold.
        champion_scores: the champion's table on the same benchmarks, or None when there is no champion.
        model: the rows of the tables to compare.
        slices: the challenger's `slices.parquet`; None leaves slices unjudged.
        evidence: checks that need more than tables: do the scores belong to these weights, is the snapshot there.
        fitness: `fitness.parquet`: which metrics notice known damage to each benchmark's own clips.

    Raises:
        evaluation.scoring.criteria.GateError: a criterion of no metric that may gate.
    """
    checks = list(evidence)
    wanted = demands(gate)
    for demand in wanted:
        checks += _judge(demand, scores, gate, champion_scores, model, fitness)
    if champion_scores is not None and gate.headline is not None:
        headline = next(demand for demand in wanted if demand.name == gate.headline)
        checks.append(_beats_champion(headline, scores, champion_scores, model))
    if slices is not None:
        checks += _slices(wanted, slices, gate, model)
    reasons = [check.message for check in checks if not check.passed]
    return Decision(promote=not reasons, reasons=reasons, checks=checks)


def _judge(
    demand: Demand,
    scores: pd.DataFrame,
    gate: GateConfig,
    champion_scores: pd.DataFrame | None,
    model: str,
    fitness: pd.DataFrame | None,
) -> Iterator[Check]:
    score = _score(scores, model, demand)
    if score is None or not math.isfinite(score.value):
        yield _absent(demand, model)
        return
    if unusable := _unfit(demand, score, scores, fitness):
        yield _unusable(demand, score.value, unusable)
        return
    yield _against_threshold(demand, score.value)
    if champion_scores is not None and demand.relative:
        yield _against_champion(demand, score.value, _score(champion_scores, model, demand), gate)


def _unfit(demand: Demand, score: MetricScore, scores: pd.DataFrame, fitness: pd.DataFrame | None) -> str:
    """Why the metric cannot judge here: undefined on most samples, blind to known damage, or with a floor like its ceiling."""
    if score.coverage < FEWEST_COVERED:
        return f"it is defined on {score.coverage:.0%} of {score.clips} samples"
    if fitness is not None:
        rows = fitness[(fitness["benchmark"] == demand.benchmark) & (fitness["metric"] == demand.metric)]
        if len(rows) and not bool(rows.iloc[0]["usable"]):
            return str(rows.iloc[0]["reason"])
    return why_unusable(of_benchmark(scores, demand.benchmark), demand.kind)


def _beats_champion(demand: Demand, scores: pd.DataFrame, champion_scores: pd.DataFrame, model: str) -> Check:
    """Better on the headline by more than the champion's own interval: a draw keeps the champion that people know."""
    name, side = f"{demand.name} better than champion", "above" if demand.sign > 0 else "below"
    own, champion = _score(scores, model, demand), _score(champion_scores, model, demand)
    if own is None or champion is None:
        return Check(name, math.nan, math.nan, False, f"{demand.place} is missing on one side; score both again")
    value, bound = own.value, champion.ci_high if demand.sign > 0 else champion.ci_low
    message = (
        f"{demand.place} is {value:.4g}; to replace the champion ({champion.value:.4g}) it must be "
        f"{side} {bound:.4g}, the end of the champion's interval"
    )
    return Check(name, value, bound, demand.sign * (value - bound) > 0, message)


def _slices(wanted: Sequence[Demand], slices: pd.DataFrame, gate: GateConfig, model: str) -> Iterator[Check]:
    for demand in wanted:
        if not demand.slices:
            continue
        bound = demand.threshold - demand.sign * gate.slice_slack * abs(demand.threshold)
        rows = of_benchmark(slices, demand.benchmark)
        rows = rows[(rows["model"] == model) & (rows["mode"] == demand.mode) & (rows["metric"] == demand.metric)]
        if rows.empty:
            yield Check(
                f"{demand.name} of slices",
                math.nan,
                bound,
                False,
                f"no slice of {demand.place} was measured; run `python -m assets benchmark_scores`, or set gate.criteria.{demand.name}.slices=false",
            )
        for row in rows.itertuples():
            message = f"{demand.place} of {row.slice} is {row.value:.4g}, needed {demand.side} {bound:.4g}"
            passed = demand.within(float(row.value), bound)
            yield Check(f"{demand.name}, {row.slice}", float(row.value), bound, passed, message)


def _score(scores: pd.DataFrame, model: str, demand: Demand) -> MetricScore | None:
    return find_score(of_benchmark(scores, demand.benchmark), model, demand.mode, demand.metric)


def _absent(demand: Demand, model: str) -> Check:
    message = f"{demand.place} of {model} was not measured; run `python -m assets benchmark_scores`"
    return Check(f"{demand.name} measured", math.nan, demand.threshold, False, message)


def _unusable(demand: Demand, value: float, reason: str) -> Check:
    message = f"{demand.place} cannot gate on this benchmark: {reason}"
    return Check(f"{demand.name} usable", value, demand.threshold, False, message)


def _against_threshold(demand: Demand, value: float) -> Check:
    message = f"{demand.place} is {value:.4g}, needed {demand.side} {demand.threshold:g}"
    return Check(f"{demand.name} threshold", value, demand.threshold, demand.within(value, demand.threshold), message)


def _against_champion(demand: Demand, value: float, champion: MetricScore | None, gate: GateConfig) -> Check:
    """Worse by less than the margin, or within the champion's own confidence interval, is not worse."""
    name = f"{demand.name} against champion"
    if champion is None or not math.isfinite(champion.value):
        return Check(name, value, math.nan, False, f"the champion has no {demand.place}; score it again first")
    edge = champion.ci_low if demand.sign > 0 else champion.ci_high
    noise = demand.sign * (champion.value - edge) if math.isfinite(edge) else 0.0
    bound = champion.value - demand.sign * max(gate.champion_margin * abs(demand.threshold), noise)
    message = f"{demand.place} is {value:.4g}, the champion has {champion.value:.4g}: needed {demand.side} {bound:.4g}"
    return Check(name, value, float(bound), demand.within(value, bound), message)
