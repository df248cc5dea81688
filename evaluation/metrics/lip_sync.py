"""Sync-C, Sync-D and offset, from a judge that runs SyncNet v2.

The judge is given from outside: curation has SyncNet, and neither room may import the other.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.facts import Reading
from evaluation.metrics.observation.instruments import Sync
from evaluation.metrics.streaming import ClipMean, Network

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

SYNCNET = "syncnet-v2"


class _SyncMean(ClipMean):
    needs = ("syncnet", "sounding_file")
    architecture = SYNCNET

    def __init__(self, network: Network):
        super().__init__(network)

    @abstractmethod
    def _value(self, sync: Sync) -> float:
        """Which number of a judged video."""

    def observe(self, seen: "Observed") -> None:
        """The generated video with its sound."""
        self.update(seen.name, seen.sync)

    def update(self, clip: str, sync: Sync | None) -> None:
        """None, and less coverage, where nothing could be judged: a clip must not vanish in silence."""
        self._add(clip, float("nan") if sync is None else self._value(sync))


class SyncConfidence(_SyncMean):
    """Sync-C = median over shifts of the mean distance, minus its minimum (Chung and Zisserman 2016)."""

    name = "sync_c"
    unit = "confidence"
    higher_is_better = True
    title = "Sync-C"
    aspect = "speech"
    reading = Reading(AUDIO, 14)
    damage = ("another sound",)

    def _value(self, sync: Sync) -> float:
        return sync.confidence


class SyncDistance(_SyncMean):
    """Sync-D = minimum over shifts of the mean distance."""

    name = "sync_d"
    unit = "distance"
    higher_is_better = False
    title = "Sync-D"
    aspect = "speech"
    reading = Reading(AUDIO, 15)
    damage = ("another sound",)

    def _value(self, sync: Sync) -> float:
        return sync.distance


class SyncOffset(_SyncMean):
    """Mean |offset| in frames at 25 per second."""

    name = "sync_offset"
    unit = "frames"
    higher_is_better = False
    title = "sync offset"
    damage = ("another sound",)

    def _value(self, sync: Sync) -> float:
        return abs(sync.offset)
