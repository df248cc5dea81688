"""What a corpus takes before anything is trained on it: cores, GPUs, shards and bytes of each asset of curation.

Seconds of a core are measured ones; GPU seconds and bytes are the plan's own.
"""

from dataclasses import dataclass

from rich.console import Console

from assets.plan.answering import answers
from assets.plan.plan import Plan
from assets.plan.storage import windows_per_hour
from profiles import Profile
from training.plan.gpus import Cluster

# Core seconds for a second of a 832 x 480 clip at 16 fps: docs/results/2026-11-24-score-cost-and-accuracy.md has them for 3 s.
DECODING = 0.111 / 3
SCORES = 0.84 * DECODING  # of all scores that need no network
MEGABITS = 5.0  # a second of a clip as it came; nobody counted them on a corpus
MANY_SHARDS = 10_000  # that Dagster was measured with: docs/results/2026-11-27-ten-thousand-shards.md


@dataclass(frozen=True)
class Corpus:
    """Costs of `plan.hours` hours of clips.

    Attributes:
        plan: of the profile, without its trainings.
        cores: that work at once.
        core_price: dollars an hour of one.
        store_price: dollars a month of a TB.
    """

    plan: Plan
    cores: int
    core_price: float
    store_price: float

    @property
    def seconds(self) -> float:
        """Of all clips."""
        return self.plan.hours * 3600

    @property
    def windows(self) -> float:
        """Training samples at most."""
        return windows_per_hour(self.plan.profile) * self.plan.hours

    @property
    def shards(self) -> float:
        """Where each window is a clip of its own, as short clips are."""
        return self.windows / self.plan.profile.curation.shard_clips

    @property
    def core_hours(self) -> dict[str, float]:
        """By asset; a clip is decoded once for its scores and once for its features."""
        return {
            "clip_scores": self.seconds * (DECODING + SCORES) / 3600,
            "condition_features": self.seconds * DECODING / 3600,
        }

    @property
    def gpu_hours(self) -> float:
        """Of the encoders."""
        return self.plan.encoding_days * 24

    @property
    def stored(self) -> dict[str, float]:
        """Bytes by asset."""
        return {
            "raw_clips": self.seconds * MEGABITS * 1e6 / 8,
            "condition_features": self.plan.stored["features"],
        }

    def as_dict(self) -> dict[str, object]:
        """For `--json`: hours of cores and GPUs, bytes, dollars."""
        gpu = self.plan.cluster.gpu
        return {
            "hours_of_clips": self.plan.hours,
            "windows": self.windows,
            "shards": self.shards,
            "core_hours": self.core_hours,
            "core_days": {name: hours / 24 / self.cores for name, hours in self.core_hours.items()},
            "gpu_hours": self.gpu_hours,
            "gpu_days": self.gpu_hours / 24 / self.plan.cluster.count,
            "stored": self.stored,
            "dollars_cores": sum(self.core_hours.values()) * self.core_price,
            "dollars_gpus": None if gpu.price is None else self.gpu_hours * gpu.price,
            "dollars_a_month": sum(self.stored.values()) / 1e12 * self.store_price,
        }


def plan_corpus(
    profile: Profile, cluster: Cluster, mfu: float, hours: float, cores: int, core_price: float, store_price: float
) -> Corpus:
    """Trace the encoders and count the rest."""
    return Corpus(Plan(profile, cluster, mfu, hours, [], {}, answers(profile)), cores, core_price, store_price)


def print_corpus(corpus: Corpus) -> None:
    """Print it for a terminal."""
    plan, said = corpus.plan, corpus.as_dict()
    gpu, hours, stored = plan.cluster.gpu, corpus.core_hours, corpus.stored
    money = "no price known" if gpu.price is None else f"{corpus.gpu_hours * gpu.price / 1e3:,.1f} k$"
    encoding = corpus.gpu_hours / 24 / plan.cluster.count
    lines = [
        f"profile {plan.profile.name}: {plan.hours:,.0f} hours of clips, {corpus.windows / 1e6:.1f} million windows at most, "
        f"{corpus.shards:,.0f} shards of {plan.profile.curation.shard_clips} clips where each window is one",
        f"clip_scores: {hours['clip_scores']:,.0f} core-hours, {hours['clip_scores'] / 24 / corpus.cores:.1f} days on {corpus.cores} cores "
        "(without networks: keypoints, captions and the like come on top)",
        f"condition_features, decoding: {hours['condition_features']:,.0f} core-hours, "
        f"{hours['condition_features'] / 24 / corpus.cores:.1f} days on {corpus.cores} cores",
        f"condition_features, encoding: {corpus.gpu_hours:,.0f} GPU-hours, {encoding:.1f} days on {plan.cluster} at {plan.mfu:.0%}",
        f"cores that decode as fast as these GPUs encode: {hours['condition_features'] / (encoding * 24):.1f}",
        f"stored: {stored['raw_clips'] / 1e12:,.1f} TB of clips at {MEGABITS:g} Mbit/s, {stored['condition_features'] / 1e12:,.1f} TB of features",
        f"money: cores {sum(hours.values()) * corpus.core_price / 1e3:,.1f} k$ at {corpus.core_price:g} $ an hour, GPUs {money}, "
        f"storage {said['dollars_a_month']:,.0f} $ a month at {corpus.store_price:g} $ a TB",
    ]
    if corpus.shards > MANY_SHARDS:
        lines.append(
            f"more shards than the {MANY_SHARDS:,} that Dagster was measured with: raise curation.shard_clips to "
            f"{-(-corpus.windows // MANY_SHARDS):,.0f}, or split the corpus into homes"
        )
    for line in lines:
        Console(width=160, highlight=False).print(line, soft_wrap=True)
