"""Memory of a Ray driver as its shard grows: `python -m benchmarks.curation.on_ray_memory`.

Clips are simulated: what an actor gives back for one is made at once. Loop, back-pressure and, in the second column, the whole of `score_shard` are the
driver's own. Every number is of a new process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray

from benchmarks.curation.keypoint_memory import GivenKeypoints, make_shard
from curation.on_ray.actors import RayWorkers
from curation.people.keypoints import Detected
from curation.scores import table as score_table
from curation.scores.table import score_shard
from curation.workers import OverClips
from profiles import load_profile
from tests.assets.ray_cluster import ray_cluster

CLIPS = (100, 1_000, 10_000, 100_000)
DECODED = (17, 64, 64, 3)  # a window of the laptop profile, 209 kB; more than Ray hands over without its shared memory
PREDICTED = "the loop within 10 MB, score_shard 10 kB more for each clip, which is its table's rows"
WAYS = ("loop", "score_shard")


class Peak:
    """The largest `RssAnon` of this process, MB, looked at a hundred times a second. Ray's shared memory is not in it."""

    def __init__(self) -> None:
        self.most, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Look no longer."""
        self._ended.set()
        self._thread.join()
        return self.most

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            lines = Path("/proc/self/status").read_text().splitlines()
            self.most = max(self.most, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3)


def decoded(state: None, item: int) -> np.ndarray:
    """As large as what a decoder gives."""
    return np.full(DECODED, item % 256, np.uint8)


def given(state: Any, job: Any) -> Any:
    """Of every clip what was found of the first."""
    return state


def loop(workers: RayWorkers, clips: int) -> None:
    """Each result is looked at and let go."""
    for number, frames in enumerate(workers.map_over_clips(decoded, None, range(clips))):
        assert frames[0, 0, 0, 0] == number % 256


def score(workers: RayWorkers, clips: int, shard: Path) -> None:
    """A shard of so many rows; columns are real, of keypoints there is one frame."""
    with tempfile.TemporaryDirectory() as folder:
        root, profile = Path(folder), load_profile("laptop", [])
        first: list[Any] = []

        def simulated(function: Callable, work: Any, items: Any, *arguments: Any, **named: Any) -> Any:
            if not first:
                found = function(work, items[0])
                first.append(score_table._Result(found.values, Detected(found.detected.keypoints[:1], None)))
            return workers.map_over_clips(given, first[0], items, *arguments, **named)

        over_clips: OverClips = simulated
        report = score_shard(shard, root / "scores", GivenKeypoints(), profile, None, root / "cache", over_clips)
        assert report.clips == clips


def measure(way: str, clips: int, shard: str, address: str) -> None:
    """In this process, which must be a new one: print the peak and seconds."""
    ray.init(address=address, log_to_driver=False, logging_level="error")
    workers = RayWorkers(2)
    list(workers.map_over_clips(decoded, None, range(32)))  # modules are loaded, actors are there
    peak, started = Peak(), time.monotonic()
    if way == "loop":
        loop(workers, clips)
    else:
        score(workers, clips, Path(shard))
    print(f"{peak.end():.0f} {time.monotonic() - started:.0f}")
    workers.end()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=int, default=CLIPS)
    options = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    print(f"predicted: {PREDICTED}")
    print("| clips | " + " | ".join(f"{way}, MB | s" for way in WAYS) + " |\n| ---: |" + " ---: |" * 4, flush=True)
    with ray_cluster(3) as cluster:
        for clips in options.clips:
            with tempfile.TemporaryDirectory() as folder:
                shard = make_shard(Path(folder), clips)
                found = [one(way, clips, shard, cluster.store) for way in WAYS]
            print(f"| {clips:,} | " + " | ".join(" | ".join(numbers) for numbers in found) + " |", flush=True)


def one(way: str, clips: int, shard: Path, address: str) -> list[str]:
    """Peak and seconds, of a new process."""
    call = f"from {__spec__.name} import measure; measure({way!r}, {clips}, {str(shard)!r}, {address!r})"
    command = [sys.executable, "-W", "ignore", "-c", call]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


if __name__ == "__main__":
    main()
