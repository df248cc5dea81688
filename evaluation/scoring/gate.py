"""May the challenger become champion? Evidence, thresholds of the profile, its slices, and the champion that stands."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from evaluation.benchmark.benchmark_plan import STUDENT
from evaluation.metrics import MetricScore
from evaluation.metrics.puppet_truth import PuppetMetric
from evaluation.metrics.registry import GATE_METRICS
from evaluation.scoring.metric_floors import why_unusable
from evaluation.scoring.score_table import find_score
from media.user_error import UserError
from profiles.schema import GateConfig


class GateError(UserError, ValueError):
    """A profile whose gate asks for what no metric is; the message names the key and what there is."""


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


@dataclass(frozen=True)
class _Criterion:
    kind: type[PuppetMetric]
    mode: str
    threshold: float

    @property
    def metric(self) -> str:
        return self.kind.name

    @property
    def higher_is_better(self) -> bool:
        return bool(self.kind.higher_is_better)


def decide(
    scores: pd.DataFrame,
    gate: GateConfig,
    champion_scores: pd.DataFrame | None,
    model: str = STUDENT,
    slices: pd.DataFrame | None = None,
    evidence: Sequence[Check] = (),
) -> Decision:
    """Judge a challenger. Pure: the same tables give the same decision.

    Args:
        scores: the challenger's `scores.parquet`.
        gate: thresholds; `champion_margin`, the share of a threshold by which a challenger may be worse; `headline`, the
            metric on which it must be better; `slice_slack`, by how much a slice may miss a threshold.
        champion_scores: the champion's table on the same benchmark, or None when there is no champion.
        model: the rows of the tables to compare.
        slices: the challenger's `slices.parquet`; None leaves slices unjudged.
        evidence: checks that need more than tables: do the scores belong to these weights, is the snapshot there.

    Raises:
        GateError: a threshold or a headline of no metric that may gate.
    """
    checks = list(evidence)
    for criterion in _criteria(gate):
        checks += _judge(criterion, scores, gate, champion_scores, model)
    if champion_scores is not None and gate.headline is not None:
        checks.append(_beats_champion(scores, gate, champion_scores, model))
    if slices is not None:
        checks += _slices(slices, gate, model)
    reasons = [check.message for check in checks if not check.passed]
    return Decision(promote=not reasons, reasons=reasons, checks=checks)


def _judge(
    criterion: _Criterion, scores: pd.DataFrame, gate: GateConfig, champion_scores: pd.DataFrame | None, model: str
) -> Iterator[Check]:
    score = _score(scores, model, criterion)
    if score is None or not math.isfinite(score.value):
        yield _absent(criterion, model)
        return
    if unusable := why_unusable(scores, criterion.kind):
        yield _unusable(criterion, score.value, unusable)
        return
    yield _against_threshold(criterion, score.value)
    if champion_scores is not None:
        yield _against_champion(criterion, score.value, _score(champion_scores, model, criterion), gate)


def _beats_champion(scores: pd.DataFrame, gate: GateConfig, champion_scores: pd.DataFrame, model: str) -> Check:
    """Better on the headline by more than the champion's own interval: a draw keeps the champion that people know."""
    criterion = next(c for c in _criteria(gate) if c.metric == gate.headline)
    name, side = f"{criterion.metric} better than champion", "above" if criterion.higher_is_better else "below"
    own, champion = _score(scores, model, criterion), _score(champion_scores, model, criterion)
    if own is None or champion is None:
        return Check(
            name,
            math.nan,
            math.nan,
            False,
            f"{criterion.metric} ({criterion.mode}) is missing on one side; score both again",
        )
    value, bound = own.value, champion.ci_high if criterion.higher_is_better else champion.ci_low
    passed = value > bound if criterion.higher_is_better else value < bound
    message = (
        f"{criterion.metric} ({criterion.mode}) is {value:.4g}; to replace the champion ({champion.value:.4g}) it must be "
        f"{side} {bound:.4g}, the end of the champion's interval"
    )
    return Check(name, value, bound, bool(passed), message)


def _slices(slices: pd.DataFrame, gate: GateConfig, model: str) -> Iterator[Check]:
    for criterion in _criteria(gate):
        sign = 1.0 if criterion.higher_is_better else -1.0
        bound = criterion.threshold - sign * gate.slice_slack * abs(criterion.threshold)
        rows = slices[
            (slices["model"] == model) & (slices["mode"] == criterion.mode) & (slices["metric"] == criterion.metric)
        ]
        if rows.empty:
            yield Check(
                f"{criterion.metric} of slices",
                math.nan,
                bound,
                False,
                f"no slice of {criterion.metric} was measured; run `python -m assets benchmark_scores`",
            )
        for row in rows.itertuples():
            passed = sign * (row.value - bound) >= 0
            message = f"{criterion.metric} ({criterion.mode}) of {row.slice} is {row.value:.4g}, needed {'at least' if sign > 0 else 'at most'} {bound:.4g}"
            yield Check(f"{criterion.metric}, {row.slice}", float(row.value), bound, bool(passed), message)


def limits(gate: GateConfig) -> dict[str, float]:
    """List the threshold of each metric that the gate reads.

    Raises:
        GateError: a threshold or a headline of no metric that may gate.
    """
    return {criterion.metric: criterion.threshold for criterion in _criteria(gate)}


def _criteria(gate: GateConfig) -> list[_Criterion]:
    known = {facts.threshold for facts in GATE_METRICS.values()}
    if unknown := sorted(set(gate.thresholds) - known):
        raise GateError(
            f"no metric gates by gate.{', gate.'.join(unknown)}; correct the profile: there are {', '.join(sorted(known))}"
        )
    criteria = [
        _Criterion(kind, facts.mode, gate.thresholds[facts.threshold])
        for kind, facts in GATE_METRICS.items()
        if facts.threshold in gate.thresholds
    ]
    if gate.headline not in (None, *(criterion.metric for criterion in criteria)):
        raise GateError(
            f"gate.headline is {gate.headline}, which has no threshold; choose null or one of {', '.join(c.metric for c in criteria)}"
        )
    return criteria


def _score(scores: pd.DataFrame, model: str, criterion: _Criterion) -> MetricScore | None:
    return find_score(scores, model, criterion.mode, criterion.metric)


def _absent(criterion: _Criterion, model: str) -> Check:
    message = f"{criterion.metric} of {model} in mode {criterion.mode} was not measured; run `python -m assets benchmark_scores`"
    return Check(f"{criterion.metric} measured", math.nan, criterion.threshold, False, message)


def _unusable(criterion: _Criterion, value: float, reason: str) -> Check:
    message = f"{criterion.metric} ({criterion.mode}) cannot gate on this benchmark: {reason}"
    return Check(f"{criterion.metric} usable", value, criterion.threshold, False, message)


def _against_threshold(criterion: _Criterion, value: float) -> Check:
    passed = value >= criterion.threshold if criterion.higher_is_better else value <= criterion.threshold
    side = "at least" if criterion.higher_is_better else "at most"
    message = f"{criterion.metric} ({criterion.mode}) is {value:.4g}, needed {side} {criterion.threshold:g}"
    return Check(f"{criterion.metric} threshold", value, criterion.threshold, bool(passed), message)


def _against_champion(criterion: _Criterion, value: float, champion: MetricScore | None, gate: GateConfig) -> Check:
    """Worse by less than the margin, or within the champion's own confidence interval, is not worse."""
    name = f"{criterion.metric} against champion"
    if champion is None or not math.isfinite(champion.value):
        message = f"the champion has no {criterion.metric} ({criterion.mode}) on this benchmark; score it again first"
        return Check(name, value, math.nan, False, message)
    sign = 1.0 if criterion.higher_is_better else -1.0
    edge = champion.ci_low if criterion.higher_is_better else champion.ci_high
    noise = sign * (champion.value - edge) if math.isfinite(edge) else 0.0
    bound = champion.value - sign * max(gate.champion_margin * abs(criterion.threshold), noise)
    side = "at least" if criterion.higher_is_better else "at most"
    message = (
        f"{criterion.metric} ({criterion.mode}) is {value:.4g}, the champion has {champion.value:.4g}: "
        f"needed {side} {bound:.4g}"
    )
    return Check(name, value, float(bound), bool(sign * (value - bound) >= 0), message)
