"""Memory of a Ray driver over many clips: `python -m benchmarks.curation.on_ray_memory`.

Clips are simulated: what an actor gives back for one is made at once. Loop, back-pressure and, of the other ways, the whole of `score_shard` are the
driver's own. `drivers` is what the product does: each shard, of `curation.shard_clips` clips at most, has a process of its own, one after the other. In
`shards` one process scores them all, so that what a shard leaves behind would add up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from array import array
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

MARKS = (100, 1_000, 10_000, 100_000)
SETTLED = 10_000  # clips from which on the slope is taken: some shards
SHARD = 2048  # `curation.shard_clips` of the laptop profile
DECODED = (17, 64, 64, 3)  # a window of the laptop profile, 209 kB; more than Ray hands over without its shared memory
PREDICTED = (
    "the loop within 10 MB of its first 100 clips; a driver 25 to 40 MB more at its shard's end, its table's rows, and the highest of 49 drivers "
    "within 15 MB of the first; from 10,000 clips on less than 0.2 kB a clip in the loop and over drivers"
)
WAYS = ("loop", "drivers", "shards")
EACH_SECONDS = 0.02


class Watch:
    """`RssAnon` of this process, MB, looked at fifty times a second; Ray's shared memory is not in it. `done` is set by who works. What is
    reached at each mark is said at once, for a run that is ended before its row."""

    def __init__(self) -> None:
        self.done, self._ended = 0, threading.Event()
        self._clips, self._memory = array("l"), array("d")  # 16 bytes a look: 0.3 MB in 5 minutes
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> tuple[np.ndarray, np.ndarray]:
        """Look no longer: clips that were done and memory, `(looks,)` each."""
        self._ended.set()
        self._thread.join()
        return np.array(self._clips), np.array(self._memory)

    def _watch(self) -> None:
        marks = list(MARKS)
        while not self._ended.wait(EACH_SECONDS):
            lines = Path("/proc/self/status").read_text().splitlines()
            self._memory.append(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3)
            self._clips.append(self.done)
            if marks and self.done >= marks[0]:
                print(f"  {marks.pop(0):,} clips: at most {max(self._memory):.0f} MB", file=sys.stderr, flush=True)


def decoded(state: None, item: int) -> np.ndarray:
    """As large as what a decoder gives."""
    return np.full(DECODED, item % 256, np.uint8)


def given(state: Any, job: Any) -> Any:
    """Of every clip what was found of the first."""
    return state


def loop(workers: RayWorkers, clips: int, watch: Watch) -> None:
    """Each result is looked at and let go."""
    for number, frames in enumerate(workers.map_over_clips(decoded, None, range(clips))):
        assert frames[0, 0, 0, 0] == number % 256
        watch.done = number + 1


def shards(workers: RayWorkers, clips: int, watch: Watch, size: int) -> None:
    """Shards of `size` rows; columns are real, of keypoints there is one frame a clip."""
    profile = load_profile("laptop", [])
    first: list[Any] = []

    def simulated(function: Callable, work: Any, items: Any, *arguments: Any, **named: Any) -> Any:
        if not first:
            found = function(work, items[0])
            first.append(score_table._Result(found.values, Detected(found.detected.keypoints[:1], None)))
        return workers.map_over_clips(given, first[0], items, *arguments, **named)

    over_clips: OverClips = simulated
    for begun in range(0, clips, size):
        with tempfile.TemporaryDirectory() as folder:
            root, count = Path(folder), min(size, clips - begun)
            shard = make_shard(root, count)

            def tell(done: int, total: int, note: str, begun: int = begun) -> None:
                watch.done = begun + done

            report = score_shard(shard, root / "scores", GivenKeypoints(), profile, tell, root / "cache", over_clips)
            assert report.clips == count


def measure(way: str, clips: int, size: int, address: str) -> None:
    """In this process, which must be a new one: print the peak until each mark and at all, kB a clip from `SETTLED` on, and seconds, as JSON."""
    ray.init(address=address, log_to_driver=False, logging_level="error")
    workers = RayWorkers(2)
    list(workers.map_over_clips(decoded, None, range(32)))  # modules are loaded, actors are there
    watch, started = Watch(), time.monotonic()
    if way == "loop":
        loop(workers, clips, watch)
    else:
        shards(workers, clips, watch, size)
    seconds = time.monotonic() - started
    done, memory = watch.end()
    peaks = [float(memory[done <= mark].max()) for mark in MARKS if mark <= clips]
    print(json.dumps({"peaks": peaks, "most": float(memory.max()), "slope": slope(done, memory), "seconds": seconds}))
    workers.end()


def slope(done: np.ndarray, memory: np.ndarray) -> float | None:
    """kB a clip from `SETTLED` clips on; None where there were fewer."""
    settled = done >= SETTLED
    return float(1e3 * np.polyfit(done[settled], memory[settled], 1)[0]) if settled.sum() > 1 else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=MARKS[-1])
    parser.add_argument("--shard", type=int, default=SHARD, help="clips of a shard")
    parser.add_argument("--way", choices=WAYS, help="one alone; all if left out")
    options = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    marks = [mark for mark in MARKS if mark <= options.clips]
    print(f"predicted: {PREDICTED}")
    print(
        f"| MB until so many clips | {' | '.join(f'{mark:,}' for mark in marks)} | kB a clip from {SETTLED:,} on | s |"
    )
    print("| --- |" + " ---: |" * (len(marks) + 2), flush=True)
    with ray_cluster(3) as cluster:
        for way in [options.way] if options.way else WAYS:
            found = one(way, options.clips, options.shard, cluster.store)
            kb = "-" if found["slope"] is None else f"{found['slope']:.3f}"
            cells = [way, *(f"{peak:.0f}" for peak in found["peaks"]), kb, f"{found['seconds']:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def one(way: str, clips: int, size: int, address: str) -> dict[str, Any]:
    """What new processes measure: one, or one for each shard."""
    if way == "drivers":
        return drivers(clips, size, address)
    call = f"from {__spec__.name} import measure; measure({way!r}, {clips}, {size}, {address!r})"
    command = [sys.executable, "-W", "ignore", "-c", call]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def drivers(clips: int, size: int, address: str) -> dict[str, Any]:
    """One after the other; a peak is the highest of all drivers until then, the slope that of their peaks."""
    found: list[dict[str, Any]] = []
    for begun in range(0, clips, size):
        found.append(one("shards", min(size, clips - begun), size, address))
        print(f"  driver {len(found)}: at most {found[-1]['most']:.0f} MB", file=sys.stderr, flush=True)
    ends, most = np.minimum(size * np.arange(1, len(found) + 1), clips), np.array([one["most"] for one in found])
    inside = found[0]["peaks"]
    beyond = [float(most[: np.searchsorted(ends, mark) + 1].max()) for mark in MARKS[len(inside) :] if mark <= clips]
    return {
        "peaks": inside + beyond, "slope": slope(ends, most), "seconds": sum(one["seconds"] for one in found),
    }  # fmt: skip


if __name__ == "__main__":
    main()
