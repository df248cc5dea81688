"""One training on several nodes of a Ray cluster: a placement group holds them, and an actor on each starts DeepSpeed's launcher there.

`python -m training.run.ray_nodes --job JOB.json --nodes 2` is what a Ray job of more than one node runs. Where a node is lost the training
goes on from its last checkpoint: on as many nodes once they are there again, else on fewer, down to `--least`.
"""

import argparse
import logging
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from media.user_error import exit_code
from training.errors import TrainingError
from training.run.jobs import TrainingJob
from training.run.launch import Place, training_process
from training.run.supervise import STOPPED, ask_to_stop, end_with_parent

# A rank fails as soon as another does not answer, and Ray says that a node is gone when it has asked it a few times.
NOTICE_SECONDS = 60.0


class Node:
    """Runs one node's launcher; a second thread of it can end that."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def meeting_point(self) -> tuple[str, int]:
        """Address and port, free a moment ago, that the other nodes reach."""
        address = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return address, probe.getsockname()[1]

    def run(self, job_file: Path, place: Place) -> int:
        """To its end; returns the exit code. What it prints goes into `node-<number>.log` beside the job file, and into this job's output."""
        process = training_process(job_file, TrainingJob.read(job_file).profile.engine, place)
        self._process = subprocess.Popen(
            process.command,
            env=process.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(end_with_parent, signal.SIGKILL),  # SIGTERM would ask all nodes to stop
        )
        assert self._process.stdout is not None
        with job_file.with_name(f"node-{place.node}.log").open("ab") as file:
            for line in self._process.stdout:
                file.write(line)
                file.flush()
                print(f"[node {place.node}] {line.decode(errors='replace')}", end="", flush=True)
        return self._process.wait()

    def end(self) -> None:
        """At once: the kernel then ends the launcher, and that its ranks."""
        if self._process is not None:
            self._process.kill()


def train(job_file: Path, most: int, least: int, gpus_per_rank: int, patience: float) -> int:
    """Train to the end on `most` nodes, or on fewer where not so many are left; returns the launcher's exit code.

    Args:
        job_file: as for `training.run.launch`.
        most, least: nodes.
        gpus_per_rank: 0 takes one of Ray's CPUs a rank.
        patience: seconds to wait for so many nodes before one fewer is tried.

    Raises:
        TrainingError: there are not `least` nodes.
    """
    ranks = TrainingJob.read(job_file).profile.engine.ranks
    bundle = {"GPU": float(ranks * gpus_per_rank)} if gpus_per_rank else {"CPU": float(ranks)}
    while True:
        group = _reserve(bundle, most, least, patience)
        try:
            code = _attempt(job_file, group, bundle)
        finally:
            remove_placement_group(group)
        if code is not None:
            return code
        if job_file.with_name("stop").exists():  # asked for while the node was lost
            return STOPPED
        print("a node was lost; the training goes on from its last checkpoint", flush=True)


def _reserve(bundle: dict[str, float], most: int, least: int, patience: float) -> PlacementGroup:
    """A bundle on each of `most` nodes, or of as many as there are."""
    for nodes in range(most, least - 1, -1):
        group = placement_group([bundle] * nodes, strategy="STRICT_SPREAD")
        try:
            ray.get(group.ready(), timeout=patience)
        except GetTimeoutError:
            remove_placement_group(group)
            print(f"no {nodes} nodes with {bundle} free within {patience:.0f} s", flush=True)
            continue
        print(f"training on {nodes} of {most} nodes", flush=True)
        return group
    raise TrainingError(
        f"the cluster has no {least} nodes with {bundle} free; it has {ray.cluster_resources()}. Start nodes, or lower the launcher's `nodes_least`"
    )


def _attempt(job_file: Path, group: PlacementGroup, bundle: dict[str, float]) -> int | None:
    """The exit code; None where a node was lost."""
    nodes = group.bundle_count
    actors = []
    for index in range(nodes):
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
        needs = {"num_cpus": bundle.get("CPU", 0), "num_gpus": bundle.get("GPU", 0)}
        started: Any = ray.remote(max_restarts=0, max_task_retries=0)(Node)
        actors.append(started.options(scheduling_strategy=place, max_concurrency=2, **needs).remote())
    try:
        master = ray.get(actors[0].meeting_point.remote())
        places = [Place(nodes, index, *master) for index in range(nodes)]
        running = [actor.run.remote(job_file, place) for actor, place in zip(actors, places, strict=True)]
        ended, others = ray.wait(running)
        if ray.get(ended[0]):
            if others:
                ray.wait(others, num_returns=len(others), timeout=NOTICE_SECONDS)
            _end(actors)
        codes = ray.get(running)
    except RayActorError as error:
        print(f"a node of the training ended: {error}", flush=True)
        _end(actors)
        return None
    finally:
        for actor in actors:
            ray.kill(actor)
    return next((code for code in codes if code), 0)


def _end(actors: list[Any]) -> None:
    """Ranks that wait for one that is gone would wait for ever."""
    try:
        ray.wait([actor.end.remote() for actor in actors], num_returns=len(actors), timeout=NOTICE_SECONDS)
    except RayError as error:
        print(f"a node could not be asked to end: {error}", flush=True)


def main() -> int:
    """Parse the command line and train; the exit code is 75 after a stop on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="job file, on a disk that all nodes share")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--least", type=int, help="nodes that it goes on with when others are lost (all)")
    parser.add_argument("--gpus-per-rank", type=int, default=1)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for a number of nodes")
    options = parser.parse_args()
    stop = options.job.with_name("stop")
    stop.unlink(missing_ok=True)
    try:
        ray.init(logging_level=logging.WARNING)
        ask_to_stop(stop, lambda: os._exit(128 + signal.SIGTERM))
        least = options.nodes if options.least is None else options.least
        return train(options.job, options.nodes, least, options.gpus_per_rank, options.patience)
    except Exception as error:
        return exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
