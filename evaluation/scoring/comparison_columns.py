"""The columns of the comparison of teacher and student: the gate's metrics, what else tells models apart, and what it costs."""

from dataclasses import dataclass

from evaluation.benchmark.benchmark_plan import AUDIO, POSE, SECOND_SEED
from evaluation.metrics import HighFrequencyRatio, JointDiversity, MissingHands, MissingJoints
from evaluation.metrics.distances.latent_frechet import LatentFrechetDistance, LatentFrechetDistanceOfArms
from evaluation.metrics.facts import MetricFacts
from evaluation.metrics.registry import GATE_METRICS


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


COLUMNS = (
    *(_column(kind, gate.mode, narrow=True) for kind, gate in GATE_METRICS.items()),
    _column(MissingJoints, POSE, narrow=True),
    _column(MissingHands, POSE),
    _column(HighFrequencyRatio, AUDIO),
    Column(JointDiversity.column_title(), JointDiversity.name, SECOND_SEED, JointDiversity.digits),
    _column(LatentFrechetDistance, AUDIO),
    _column(LatentFrechetDistanceOfArms, AUDIO),
    Column("s / clip, audio", "seconds_per_clip", AUDIO, 3, narrow=True),
    Column("passes, audio", "transformer_passes", AUDIO, 0),
    Column("transformer s / video s, audio", "transformer_seconds", AUDIO, 3),
    Column("decode s / video s, audio", "decode_seconds", AUDIO, 3),
    Column("peak GiB, audio", "peak_memory", AUDIO, 2),
    Column("GiB / video s, audio", "memory_per_second", AUDIO, 2),
)
