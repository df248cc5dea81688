"""May a metric judge on this benchmark? Only if it puts known damage in the right order there, and its ceiling and floor apart."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from evaluation.baselines.damage import NONE, DamagedVideos
from evaluation.baselines.instruments import Instruments, Pair, Panel
from evaluation.baselines.videos import Samples
from evaluation.metrics import Score
from evaluation.metrics.registry import METRICS

FEWEST_COVERED = 0.5  # share of the real clips on which a metric must be defined


def order_of_damage(metric: str) -> tuple[str, ...]:
    """A metric's damage from none to worst; the last is the floor."""
    return (NONE, *METRICS[metric].damage)


@dataclass(frozen=True)
class Verdict:
    """What became of one metric on one benchmark.

    Attributes:
        metric: its name.
        ceiling, floor: of the real clips, and of the worst damage, with intervals.
        order: damage to value, from none to worst.
        usable: it may judge here.
        reason: why not; empty where it may.
    """

    metric: str
    ceiling: Score
    floor: Score
    order: dict[str, float]
    usable: bool
    reason: str


def judge_metrics(
    instruments: Instruments,
    samples: Samples,
    resamples: int,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Verdict]:
    """Score the samples with each damage, with the metrics that are asked about it.

    Args:
        instruments: what looks.
        samples: real clips, two or more: one damage is the next sample.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        progress: called with (damages done, damages, name).
    """
    names = [metric.name for metric in instruments.metrics()]
    asked: dict[str, set[str]] = {}
    for name in names:
        for damage in order_of_damage(name):
            asked.setdefault(damage, set()).add(name)
    scores: dict[str, dict[str, Score]] = {}
    for done, (damage, few) in enumerate(asked.items(), start=1):
        panel = score_videos(DamagedVideos(damage, samples), samples, Panel(instruments, few))
        scores[damage] = {name: panel.metrics[name].compute(resamples, seed) for name in few}
        if progress is not None:
            progress(done, len(asked), damage)
    return {name: _verdict(name, {d: scores[d][name] for d in order_of_damage(name)}) for name in names}


def score_videos(videos, samples: Samples, panel: Panel) -> Panel:
    """Feed a method's videos of all samples to a panel."""
    for sample in samples.samples:
        file = videos.file(sample) if {"sync_c", "sync_d", "sync_offset"} & set(panel.metrics) else None
        panel.update(Pair(sample.name, sample.read(), videos.frames(sample), sample.fps, file))
    return panel


def _verdict(metric: str, scores: dict[str, Score]) -> Verdict:
    ceiling, *_, floor = scores.values()
    order = {damage: score.value for damage, score in scores.items()}
    reason = _why_not(bool(METRICS[metric].higher_is_better), ceiling, floor, order)
    return Verdict(metric, ceiling, floor, order, not reason, reason)


def _why_not(higher_is_better: bool, ceiling: Score, floor: Score, order: dict[str, float]) -> str:
    if ceiling.coverage < FEWEST_COVERED:
        return f"defined on {ceiling.coverage:.0%} of the real clips only"
    sign = 1.0 if higher_is_better else -1.0
    steps = list(order.items())
    for (damage, value), (worse, worse_value) in zip(steps[:-1], steps[1:], strict=True):
        if not (isfinite(value) and isfinite(worse_value) and sign * value > sign * worse_value):
            return f"{worse} reads {worse_value:.4g}, no worse than {value:.4g} of {damage}"
    edge = ceiling.ci_low if higher_is_better else ceiling.ci_high
    if isfinite(edge) and not sign * edge > sign * floor.value:
        return f"the floor {floor.value:.4g} lies inside the real clips' interval"
    return ""
