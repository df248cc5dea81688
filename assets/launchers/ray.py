"""A training as a Ray job, through dagster-ray's `PipesRayJobClient`. The job is stopped when the Dagster run is terminated."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import tenacity
from dagster._core.errors import DagsterPipesExecutionError
from dagster._core.pipes.context import PipesExecutionResult
from dagster_pipes import PipesParams
from dagster_ray import PipesRayJobClient
from dagster_ray.core.pipes import PipesRayJobMessageReader, SubmitJobParams, generate_job_id
from ray.job_submission import JobStatus, JobSubmissionClient

from assets.core.workspace import Workspace
from assets.launchers.local import TAIL_LINES, TERMINATION_SECONDS
from assets.launchers.settings import RaySettings, check_mount
from assets.launchers.shared_disk import SharedDiskMessages, beat_file, message_file, remote_command
from training.run.attempt_lock import BEAT_VARIABLE, beating
from training.run.launch import Process

# A dashboard that is busy, or starts anew, for a moment ends no training of days.
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception_type((RuntimeError, ConnectionError)),
    stop=tenacity.stop_after_delay(120),
    wait=tenacity.wait_fixed(3),
    reraise=True,
)


def run_on_ray(
    context: dg.AssetExecutionContext, process: Process, workspace: Workspace, settings: RaySettings
) -> Sequence[PipesExecutionResult]:
    """Run one Ray job to its end; its log is this process's output. Returns what the training reported through Pipes.

    Raises:
        LauncherError: the workspace is not on the shared disk.
        DagsterPipesExecutionError: the job failed or was stopped by somebody else; with its last lines.
    """
    check_mount(workspace, settings)
    beat = beat_file(process, context.run_id)
    reader = _JobReader(message_file(process, context.run_id), {"headers": settings.headers})
    client = _Client(address=settings.address, headers=settings.headers, message_reader=reader)
    try:
        with beating(beat):
            done = client.run(context=context, submit_job_params=job_parameters(process, workspace, settings, beat))
    except RuntimeError as error:  # what dagster-ray raises for a failed job, with the end of its log
        lines = "\n".join(str(error).splitlines()[-TAIL_LINES:])
        raise DagsterPipesExecutionError(f"the Ray job of {process.job} failed; its last lines:\n{lines}") from error
    return done.get_results(implicit_materializations=False)


class _Patient(JobSubmissionClient):
    """Asks again where the dashboard gives no answer."""

    @_patiently
    def get_job_status(self, job_id: str) -> JobStatus:
        return super().get_job_status(job_id)

    @_patiently
    def submit_job(self, **parameters: Any) -> str:
        """Once only: where an earlier try arrived and its answer did not, that job is the one."""
        name = parameters["submission_id"]
        if any(job.submission_id == name for job in self.list_jobs()):
            return name
        return super().submit_job(**parameters)


class _Client(PipesRayJobClient):
    @cached_property
    def client(self) -> JobSubmissionClient:
        return _Patient(address=self._address, headers=self._headers)


class _JobReader(PipesRayJobMessageReader):
    """The job's log becomes this process's output, as with dagster-ray's own reader; reports come over the shared disk."""

    def __init__(self, path: Path, client: dict) -> None:
        super().__init__(job_submission_client_kwargs=client)
        self._disk = SharedDiskMessages(path)

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[PipesParams]:
        with super().read_messages(handler), self._disk.read_messages(handler) as params:
            yield params


def job_parameters(process: Process, workspace: Workspace, settings: RaySettings, beat: Path) -> SubmitJobParams:
    """What is submitted: Ray takes a shell's line, and has the whole training on one node."""
    ranks = workspace.profile.engine.ranks
    # Ray kills a job that it stops after three seconds.
    variables = settings.environment | {
        BEAT_VARIABLE: str(beat),
        "RAY_JOB_STOP_WAIT_TIME_S": str(int(TERMINATION_SECONDS)),
    }
    return {
        "submission_id": generate_job_id(),
        "entrypoint": shlex.join(["cd", str(workspace.root)])
        + " && exec "
        + shlex.join(remote_command(process, settings)),
        "runtime_env": {"env_vars": variables},
        "entrypoint_num_gpus": float(ranks * settings.gpus_per_rank),
        "entrypoint_num_cpus": float(0 if settings.gpus_per_rank else ranks),
    }
