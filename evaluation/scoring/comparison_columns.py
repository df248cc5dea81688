"""The columns of the comparison of teacher and student: what opens tables, what else tells models apart, and what it costs."""

from dataclasses import dataclass

import pandas as pd

from evaluation.benchmark.benchmark_plan import AUDIO, POSE, SECOND_SEED
from evaluation.metrics import HighFrequencyRatio, JointDiversity, MissingHands, MissingJoints
from evaluation.metrics.distances.latent_frechet import LatentFrechetDistance, LatentFrechetDistanceOfArms
from evaluation.metrics.facts import MetricFacts, Reading
from evaluation.metrics.registry import READINGS


@dataclass(frozen=True)
class Column:
    """One column: which metric, under which condition, and how it reads. `narrow` ones are shown in a terminal too."""

    title: str
    metric: str
    mode: str
    digits: int
    narrow: bool = False


def _column(kind: type[MetricFacts], mode: str, narrow: bool = False) -> Column:
    return Column(f"{kind.column_title()}, {mode}", kind.name, mode, kind.digits, narrow)


_COSTS = (
    ("s / clip", "seconds_per_clip", 3),
    ("passes", "transformer_passes", 0),
    ("transformer s / video s", "transformer_seconds", 3),
    ("decode s / video s", "decode_seconds", 3),
    ("peak GiB", "peak_memory", 2),
    ("GiB / video s", "memory_per_second", 2),
)
_BESIDE_READINGS = (
    _column(MissingJoints, POSE, narrow=True),
    _column(MissingHands, POSE),
    _column(HighFrequencyRatio, AUDIO),
    Column(JointDiversity.column_title(), JointDiversity.name, SECOND_SEED, JointDiversity.digits),
    _column(LatentFrechetDistance, AUDIO),
    _column(LatentFrechetDistanceOfArms, AUDIO),
    *(
        Column(f"{title}, {mode}", metric, mode, digits, narrow=metric == "seconds_per_clip")
        for mode in (AUDIO, POSE)
        for title, metric, digits in _COSTS
    ),
)
EVERY = (*(_column(kind, reading.mode, narrow=True) for kind, reading in READINGS.items()), *_BESIDE_READINGS)


def columns_of(scores: pd.DataFrame) -> tuple[Column, ...]:
    """Those of one benchmark's table: what was measured. Costs are of the mode driven by sound, or by pose where none is."""
    there = set(zip(scores["metric"], scores["mode"], strict=True))
    cost_mode, costs = first_mode(scores), {metric for _, metric, _ in _COSTS}
    readings = [_column(kind, shown_in(scores, reading), narrow=True) for kind, reading in READINGS.items()]
    every = dict.fromkeys((*readings, *_BESIDE_READINGS))
    return tuple(
        column
        for column in every
        if (column.metric, column.mode) in there and (column.metric not in costs or column.mode == cost_mode)
    )


def first_mode(scores: pd.DataFrame) -> str:
    """The mode that tables of a benchmark open with: driven by sound, or by pose where no clip has any."""
    return AUDIO if (scores["mode"] == AUDIO).any() else POSE


def shown_in(scores: pd.DataFrame, reading: Reading) -> str:
    """The mode in which a benchmark's tables show a metric: its own, or pose's where no clip has sound."""
    return reading.mode if first_mode(scores) == AUDIO else POSE
