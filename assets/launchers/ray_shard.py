"""The heavy part of a shard's curation as a Ray job: this process submits it, shows its progress, and reads what it reported.

The product is written by the job, to the disk that all machines share; pages, versions and records stay with the process that asked.
"""

import os
import shlex
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter
from ray.job_submission import JobStatus, JobSubmissionClient

from assets.core.steps import AssetError, Execution
from assets.launchers.ray_client import connect, runtime_environment
from assets.launchers.settings import RayCuration, RaySettings, check_mount
from media import write_atomically
from tracking.progress import read_progress
from training.run.attempt_lock import BEAT_VARIABLE, beating

JOB, REPORT, PROGRESS = "job.json", "report.json", "progress.json"
TAIL_LINES = 40
POLL_SECONDS = 1.0
STOP_SECONDS = 60.0


class ShardJob(BaseModel):
    """What the job on the cluster is to do: `asset` of `shard` in the workspace `root`, under a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str
    shard: str
    root: Path
    profile_values: dict[str, Any]
    workers: RayCuration


def run_shard_on_ray(execution: Execution, report: type, settings: RaySettings) -> Any:
    """Submit one shard's work, wait for its end, and return what it reported, a `report`.

    Raises:
        LauncherError: the workspace is not on the shared disk, or no such cluster answers.
        AssetError: the job failed or was stopped by somebody else; with its last lines. The same command goes on from what it left.
    """
    assert settings.curation is not None and execution.shard is not None
    workspace = execution.workspace
    check_mount(workspace, settings)
    client = connect(settings)
    work = workspace.var / "shard_jobs" / execution.name / execution.shard
    (work / REPORT).unlink(missing_ok=True)
    job = ShardJob(
        asset=execution.name,
        shard=execution.shard,
        root=workspace.root,
        profile_values=workspace.profile.model_dump(mode="json"),
        workers=settings.curation,
    )
    write_atomically(work / JOB, job.model_dump_json(indent=1).encode())
    name = f"{execution.name}-{execution.shard}-{uuid.uuid4().hex[:8]}"
    beat = work / f"{name}.alive"
    with beating(beat):
        client.submit_job(
            submission_id=name,
            entrypoint=shlex.join(["cd", str(workspace.root)])
            + " && exec "
            + shlex.join([settings.python, "-m", "assets.make.shard_on_ray", "--job", str(work / JOB)]),
            runtime_env=runtime_environment(settings, {BEAT_VARIABLE: str(beat)}),
            entrypoint_num_cpus=1,
        )
        _wait(client, name, work, execution)
    found: Any = TypeAdapter(report).validate_json((work / REPORT).read_bytes())
    shutil.rmtree(work, ignore_errors=True)
    return found


def _wait(client: JobSubmissionClient, name: str, work: Path, execution: Execution) -> None:
    try:
        while True:
            status = client.get_job_status(name)
            # After the status: what is told last is the job's last.
            if (state := read_progress(work / PROGRESS)) is not None:
                execution.report(state.done, state.total, state.note)
            if status.is_terminal():
                break
            time.sleep(POLL_SECONDS)
    except BaseException:  # a run that is terminated, Ctrl-C
        client.stop_job(name)
        deadline = time.monotonic() + STOP_SECONDS
        while not client.get_job_status(name).is_terminal() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        raise
    log = client.get_job_logs(name)
    os.write(1, log.encode())
    if status != JobStatus.SUCCEEDED:
        lines = "\n".join(log.splitlines()[-TAIL_LINES:])
        raise AssetError(
            f"the Ray job {name} of {execution.name} {execution.shard} ended as {status}; what it had done is kept, and the same command "
            f"goes on from there. Its last lines:\n{lines}"
        )
