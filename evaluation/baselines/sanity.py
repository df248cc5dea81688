"""May a metric judge on this benchmark? Only if it puts known damage in the right order there, and its ceiling and floor apart."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

from evaluation.baselines.damage import NONE, DamagedClip
from evaluation.baselines.samples import SAMPLE_RATE, OpenSample, Samples
from evaluation.baselines.videos import Videos
from evaluation.kept_records import KeptRecords
from evaluation.metrics import Score
from evaluation.metrics.facts import MetricFacts
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS
from evaluation.panel import Instruments, Panel, measurable

UNASKED = "no known damage is asked about: to be read, not to rank by"
FEWEST_COVERED = 0.5  # share of the real clips on which a metric must be defined


def order_of_damage(metric: str) -> tuple[str, ...]:
    """A metric's damage from none to worst; the last is the floor."""
    return (NONE, *METRICS[metric].damage)


@dataclass(frozen=True)
class Verdict:
    """What became of one metric on one benchmark.

    Attributes:
        metric: its name.
        ceiling, floor: of the real clips, and of the worst damage, with intervals; no floor where no damage is known.
        order: damage to value, from none to worst.
        usable: it may judge here.
        reason: why not; empty where it may.
    """

    metric: str
    ceiling: Score
    floor: Score | None
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
    """Score each sample with each damage, with the metrics that are asked about it.

    Args:
        instruments: what looks.
        samples: real clips, two or more: one damage is the next sample.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        progress: called with (clips done, clips, name).
    """
    return DamageTrial(instruments, samples).verdicts(resamples, seed, progress)


class DamageTrial:
    """Real clips, each looked at under each damage once, by whichever process has its turn."""

    def __init__(self, instruments: Instruments, samples: Samples, kept: KeptRecords | None = None):
        """Ask what there is to be asked.

        Args:
            instruments: what looks.
            samples: real clips, two or more: one damage is the next sample.
            kept: clips that are measured already.
        """
        self._instruments, self._samples, self._kept = instruments, samples.samples, kept or KeptRecords()
        self._has = material(samples, instruments)
        self._names = [metric.name for metric in measurable(instruments, self._has)[0]]
        self._asked: dict[str, set[str]] = {}
        for name in self._names:
            for damage in order_of_damage(name):
                self._asked.setdefault(damage, set()).add(name)

    def __len__(self) -> int:
        return len(self._samples)

    def measure(self, clips: Iterable[int]) -> None:
        """Look at some clips, by number, for whoever asks for the verdicts then."""
        for clip in clips:
            self._records(OpenSample(self._samples[clip]), OpenSample(self._samples[(clip + 1) % len(self)]))

    def verdicts(
        self, resamples: int, seed: int = 0, progress: Callable[[int, int, str], None] | None = None
    ) -> dict[str, Verdict]:
        """As of `judge_metrics`; what no process has measured yet is measured here."""
        panels = self._panels()
        following = OpenSample(self._samples[0])
        for done in range(1, len(self) + 1):
            # A clip is decoded once for all damage; that of the last is the first, opened again, so that two are held at most.
            clip, following = following, OpenSample(self._samples[done % len(self)])
            for damage, records in self._records(clip, following).items():
                panels[damage].take(records)
            if progress is not None:
                progress(done, len(self), clip.sample.name)
        scores = {
            damage: {name: metric.compute(resamples, seed) for name, metric in panel.metrics.items()}
            for damage, panel in panels.items()
        }
        return {
            name: judged(name, {damage: scores[damage][name] for damage in order_of_damage(name)})
            for name in self._names
        }

    def _panels(self) -> dict[str, Panel]:
        return {damage: Panel(self._instruments, self._has, few) for damage, few in self._asked.items()}

    def _records(self, clip: OpenSample, following: OpenSample) -> dict[str, Any]:
        found: dict[str, Any] = self._kept.get(f"damage/{clip.sample.name}", lambda: self._measured(clip, following))
        return found

    def _measured(self, clip: OpenSample, following: OpenSample) -> dict[str, Any]:
        panels = self._panels()
        for damage, panel in panels.items():
            panel.update(_observed(DamagedClip(damage, clip, following), clip, self._instruments))
        return {damage: panel.records() for damage, panel in panels.items()}


def _observed(damaged: DamagedClip, clip: OpenSample, instruments: Instruments) -> Observed:
    return Observed(
        clip.sample.name,
        clip.sample.fps,
        damaged.frames,
        instruments,
        real=lambda: clip.frames,
        reference=lambda: clip.reference,
        sound=damaged.sound,
        sample_rate=SAMPLE_RATE,
        file=damaged.file,
    )


def material(samples: Samples, instruments: Instruments) -> frozenset[Need]:
    """What these samples bring, with the truth of puppets where the instruments have it."""
    known: set[Need] = {"puppet_truth"} if instruments.puppets is not None else set()
    return samples.has | known


def score_videos(
    videos: Videos, samples: Samples, instruments: Instruments, only: Collection[str] | None = None
) -> Panel:
    """Score a method's videos of all samples with every metric that can be had, or those of some names."""
    panel = Panel(instruments, material(samples, instruments), only)
    for sample in samples.samples:
        panel.update(
            Observed(
                sample.name,
                sample.fps,
                videos.frames(sample),
                instruments,
                real=sample.read,
                reference=sample.reference,
                sound=partial(videos.sound, sample),
                sample_rate=SAMPLE_RATE,
                file=partial(videos.file, sample),
            )
        )
    return panel


def judged(metric: str, scores: dict[str, Score]) -> Verdict:
    """Judge a metric by its scores under each damage of `order_of_damage`, in that order."""
    ceiling, *damaged = scores.values()
    order = {damage: score.value for damage, score in scores.items()}
    floor = damaged[-1] if damaged else None
    reason = UNASKED if floor is None else _why_not(METRICS[metric], ceiling, floor, order)
    return Verdict(metric, ceiling, floor, order, not reason, reason)


def _why_not(kind: type[MetricFacts], ceiling: Score, floor: Score, order: dict[str, float]) -> str:
    if ceiling.coverage < FEWEST_COVERED:
        return f"defined on {ceiling.coverage:.0%} of the real clips only"
    if kind.higher_is_better is None:
        return _why_not_about(kind.best, ceiling, floor, order)
    sign = 1.0 if kind.higher_is_better else -1.0
    steps = _defined(order)
    for (damage, value), (worse, worse_value) in zip(steps[:-1], steps[1:], strict=True):
        if not (isfinite(value) and isfinite(worse_value) and sign * value > sign * worse_value):
            return f"{worse} reads {worse_value:.4g}, no worse than {value:.4g} of {damage}"
    edge = ceiling.ci_low if kind.higher_is_better else ceiling.ci_high
    if isfinite(edge) and not sign * edge > sign * floor.value:
        return f"the floor {floor.value:.4g} lies inside the real clips' interval"
    return ""


def _defined(order: dict[str, float]) -> list[tuple[str, float]]:
    """The steps of damage without those between first and last that leave nothing to measure, as where nobody is found any more."""
    first, *between, last = order.items()
    return [first, *(step for step in between if isfinite(step[1])), last]


def _why_not_about(best: float | None, ceiling: Score, floor: Score, order: dict[str, float]) -> str:
    """Of a metric whose best value lies between its ends: damage must lead away from it."""
    if best is None:
        return UNASKED
    steps = [(damage, abs(value - best)) for damage, value in _defined(order)]
    for (damage, distance), (worse, farther) in zip(steps[:-1], steps[1:], strict=True):
        if not (isfinite(distance) and isfinite(farther) and distance < farther):
            return f"{worse} reads {order[worse]:.4g}, no further from {best:g} than {order[damage]:.4g} of {damage}"
    if isfinite(ceiling.ci_low) and ceiling.ci_low <= floor.value <= ceiling.ci_high:
        return f"the floor {floor.value:.4g} lies inside the real clips' interval"
    return ""
