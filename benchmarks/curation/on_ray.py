"""A shard's clips on two Ray workers of one core each, beside two processes of one machine: `python -m benchmarks.curation.on_ray [people]`.

The steps' own functions with actors and pools that have started, sides alternating, from the tenth of the shard to its end as the step tells of it.
Of features the two are a decoder and an encoder, as one machine of two cores has them. On a machine that does other work clips a second say which side's
processes the kernel prefers; what a clip takes of the processors is what can be compared there: driver and actors, and beside them what Ray's services take,
whether there are clips or not.
"""

import argparse
import os
import shutil
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from assets.core.steps import Execution, Workers
from assets.core.workspace import Workspace
from assets.kinds.clip_scores import score_clips
from assets.kinds.condition_features import encode_clips
from assets.kinds.demo_corpus import PersonFile, PuppetFile, people_size
from assets.kinds.detectors import PUPPETS
from curation.features.encoders import load_encoders
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.on_ray.actors import RayWorkers
from curation.on_ray.encoders import RayEncoders
from curation.subsets.nested_subsets import select_subsets
from curation.workers import PROCESSES_VARIABLE, map_over_clips
from profiles import Profile, load_profile
from tests.assets.ray_cluster import ray_cluster

AIM = 0.9
PREDICTED = {
    ("laptop", "clip_scores"): 0.90, ("laptop", "condition_features"): 0.80,
    ("people", "clip_scores"): 0.97, ("people", "condition_features"): 0.93,
}  # fmt: skip
ASSETS = {"clip_scores": score_clips, "condition_features": encode_clips}
STORE_BYTES = 2 * 10**9
DISTINCT = 24  # clips that are rendered; the rest are those with other bytes behind them
FRAMES = 49
ACTORS = ("ray::Worker", "ray::Encoder")


class Used:
    """Processor seconds of this process and all below it, those that have ended included as they were last seen.

    Args:
        cluster: the process of Ray's head, whose actors count where they are asked for, and whose services count apart.
        actors: whether they do.
    """

    def __init__(self, cluster: int, actors: bool):
        self._cluster, self._actors = psutil.Process(cluster), actors
        self._working: dict[tuple[int, float], float] = {}
        self._services: dict[tuple[int, float], float] = {}

    def look(self) -> tuple[float, float]:
        """Of what works on clips, and of Ray's services."""
        rays = [self._cluster, *self._cluster.children(recursive=True)]
        known = {member.pid for member in rays}
        others = [one for one in psutil.Process().children(recursive=True) if one.pid not in known]
        for member in [psutil.Process(), *others, *rays]:
            with suppress(psutil.NoSuchProcess):
                actor = member.pid in known and (member.cmdline() or [""])[0].startswith(ACTORS)
                if actor and not self._actors:
                    continue
                used, key = member.cpu_times(), (member.pid, member.create_time())
                seen = self._services if member.pid in known and not actor else self._working
                seen[key] = used.user + used.system
        return sum(self._working.values()), sum(self._services.values())


@dataclass(frozen=True)
class Rate:
    """Units a second, processor seconds of each, and the share of a core that Ray's services take."""

    rate: float
    cpu: float
    services: float


class Marks:
    """Told of a step's progress: notes the first, the tenth and the last."""

    def __init__(self, used: Used):
        self._used, self._marks, self._total = used, list[tuple[float, int, float, float]](), 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self._total = total
        if not self._marks or (done >= total / 10 and len(self._marks) == 1) or done == total:
            self._marks.append((time.monotonic(), done, *self._used.look()))

    def rate(self) -> Rate:
        """From the tenth to the end."""
        _, tenth, last = self._marks[:3]
        assert last[1] == self._total > tenth[1]
        units, seconds = last[1] - tenth[1], last[0] - tenth[0]
        return Rate(units / seconds, (last[2] - tenth[2]) / units, (last[3] - tenth[3]) / seconds)


class Bench:
    """A home with one shard, and both ways to work on it."""

    def __init__(self, home: Workspace, cluster: int):
        (self.shard,) = home.shards("raw_clips")
        self.home, self.cluster = home, cluster
        self.workers = {"clip_scores": RayWorkers(2), "condition_features": RayWorkers(1)}
        self.encoders = RayEncoders(home.profile, 1, 1.0, 0.0)

    def rate(self, asset: str, on_ray: bool) -> Rate:
        """Of one shard made anew in this process, as its driver or with processes of its own."""
        self.forget(asset)
        marks, encoding = Marks(Used(self.cluster, on_ray)), asset == "condition_features"
        over_clips = self.workers[asset].map_over_clips if on_ray else map_over_clips
        encoders: Any = None if not encoding else self.encoders if on_ray else load_encoders(self.home.profile)
        work = Workers(over_clips, encoders)
        ASSETS[asset](Execution(asset, self.home, self.shard, "", marks, lambda process: None), work)
        return marks.rate()

    def forget(self, asset: str) -> None:
        """What stands of it."""
        for kept in (self.home.data(asset), self.home.var / "score_cache", self.home.var / "feature_pieces"):
            shutil.rmtree(kept, ignore_errors=True)


def write_inbox(inbox: Path, profile: Profile, clips: int) -> None:
    """Clips of 49 frames: `DISTINCT` rendered puppets or people, and the same with a number behind them, which no decoder reads."""
    inbox.mkdir(parents=True)
    of_people = profile.encoders.keypoints != PUPPETS
    for seed in range(min(clips, DISTINCT)):
        made = (
            PersonFile(seed, "clean", FRAMES, people_size(profile.video))
            if of_people
            else PuppetFile(seed, "clean", FRAMES)
        )
        made.write(inbox)
        for number in range(seed + DISTINCT, clips, DISTINCT):
            box = struct.pack(">I4sI", 12, b"free", number)
            (inbox / f"{number}.mp4").write_bytes((inbox / made.name).read_bytes() + box)
            shutil.copy(inbox / f"{made.name}.json", inbox / f"{number}.mp4.json")


def middle(values: list[float]) -> str:
    """Median and middle half."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def print_rates(bench: Bench, asset: str, rounds: int) -> None:
    """A row of the table; the first side of a round is the second of the next. The first round warms up and does not count."""
    found: dict[bool, list[Rate]] = {False: [], True: []}
    for number in range(rounds + 1):
        for on_ray in (False, True) if number % 2 else (True, False):
            rate = bench.rate(asset, on_ray)
            print(f"  {asset} {'Ray' if on_ray else 'here'} {rate}", file=sys.stderr, flush=True)
            if number:
                found[on_ray].append(rate)
    here, there = found[False], found[True]
    pairs = list(zip(here, there, strict=True))
    rates = [statistics.median(one.rate for one in side) for side in (here, there)]
    cpus = [1e3 * statistics.median(one.cpu for one in side) for side in (here, there)]
    services = 100 * statistics.median(one.services for one in there)
    name = bench.home.profile.name
    print(
        f"| {name} | {asset} | {rates[0]:.2f} | {rates[1]:.2f} | {middle([two.rate / one.rate for one, two in pairs])} | {cpus[0]:.1f} | {cpus[1]:.1f} | "
        f"**{middle([one.cpu / two.cpu for one, two in pairs])}** | {PREDICTED[name, asset]:.2f} | {services:.1f} % |",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", nargs="?", default="laptop", choices=["laptop", "people"])
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7, help="that count, 2 at least")
    parser.add_argument("--step", choices=[*ASSETS], help="one alone; both if left out")
    given = parser.parse_args()
    if given.rounds < 2:
        parser.error("--rounds: two at least, for a middle half")
    os.environ |= {
        "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1",
        PROCESSES_VARIABLE: "2",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, ray_cluster(3, STORE_BYTES) as cluster:
        home = Workspace(Path(folder), load_profile(given.profile, []))
        raw = home.data("raw_clips")
        write_inbox(home.root / "inbox", home.profile, given.clips)
        ingest_shard(find_new_clips(home.root / "inbox", raw), raw, home.profile, inbox=home.root / "inbox")
        with connected(cluster.store):
            print_table(Bench(home, cluster.head.pid), given.rounds, [given.step] if given.step else [*ASSETS])


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A driver that leaves before its cluster ends, whatever happens: one whose cluster is gone is killed by Ray, and its error is not shown."""
    ray.init(address=address, log_to_driver=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()


def print_table(bench: Bench, rounds: int, steps: list[str]) -> None:
    """A row for each step; features need the scores, in whatever way they were made."""
    print(
        "| profile | step | here, a second | Ray | ratio, middle half | CPU ms each, here | Ray | here over Ray, middle half | predicted | Ray's services, of a core |"
    )
    print("| --- | --- |" + " ---: |" * 8, flush=True)
    if "clip_scores" in steps:
        print_rates(bench, "clip_scores", rounds)
        bench.workers["clip_scores"].end()
    if "condition_features" in steps:
        if "clip_scores" not in steps:
            bench.rate("clip_scores", on_ray=False)
        raw, scores, subsets = (
            bench.home.data(one, bench.shard) for one in ("raw_clips", "clip_scores", "filtered_subsets")
        )
        select_subsets(raw / "clips.parquet", scores / "scores.parquet", subsets, bench.home.profile.curation)
        print_rates(bench, "condition_features", rounds)
        bench.workers["condition_features"].end()
        bench.encoders.end()


if __name__ == "__main__":
    main()
