"""What runs on the cluster for `assets.launchers.ray_shard`: the driver of one shard's actors."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter

from assets.core.steps import AssetError, Execution, Workers
from assets.core.workspace import Workspace
from assets.kinds.clip_scores import score_clips
from assets.kinds.condition_features import encode_clips
from assets.launchers.ray_shard import PROGRESS, REPORT, ShardJob
from curation.on_ray.actors import RayWorkers
from curation.on_ray.encoders import RayEncoders
from media import write_atomically
from media.user_error import exit_code
from profiles.schema import Profile
from tracking.progress import ProgressFile
from training.run.attempt_lock import hold_alone, stop_with_launcher

DRIVER_CPUS = 1.0
HEAVY: dict[str, Callable[[Execution, Workers], Any]] = {
    "clip_scores": score_clips,
    "condition_features": encode_clips,
}


def main() -> int:
    """Do what a job file says with actors of the cluster that this process is in; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="job file written by assets.launchers.ray_shard")
    path = parser.parse_args().job
    try:
        stop_with_launcher()
        with hold_alone(path.parent):
            work_on(ShardJob.model_validate_json(path.read_bytes()), path.parent)
    except Exception as error:
        return exit_code(error)
    return 0


def work_on(job: ShardJob, work: Path) -> None:
    """Do it, and leave the report in `work`."""
    workspace = Workspace(job.root, Profile.model_validate(job.profile_values))
    ray.init(log_to_driver=False, logging_level=logging.WARNING)
    needs = job.workers
    encoding = job.asset == "condition_features"
    reserved = DRIVER_CPUS + (needs.encoders * needs.cpus_per_encoder if encoding else 0)
    # Decoding needs no GPU, and would take the encoders' from them.
    workers = RayWorkers(needs.workers, needs.cpus_per_worker, 0.0 if encoding else needs.gpus_per_worker, reserved)
    encoders = RayEncoders(workspace.profile, needs.encoders, needs.cpus_per_encoder, needs.gpus_per_encoder)
    report = ProgressFile(work / PROGRESS)
    execution = Execution(job.asset, workspace, job.shard, "", report, _starts_nothing)
    try:
        found = HEAVY[job.asset](execution, Workers(workers.map_over_clips, encoders if encoding else None))
    finally:
        workers.end()
        encoders.end()
    write_atomically(work / REPORT, TypeAdapter(type(found)).dump_json(found))


def _starts_nothing(process: Any) -> None:
    raise AssetError("curation of a shard starts no other process")


if __name__ == "__main__":
    sys.exit(main())
