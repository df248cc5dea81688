"""A training as a Ray job, through dagster-ray's `PipesRayJobClient`. The job is stopped when the Dagster run is terminated."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError
from dagster._core.pipes.context import PipesExecutionResult
from dagster_pipes import PipesParams
from dagster_ray import PipesRayJobClient
from dagster_ray.core.pipes import PipesRayJobMessageReader, SubmitJobParams, generate_job_id
from ray.job_submission import JobSubmissionClient

from assets.core.workspace import Workspace
from assets.launchers.local import TAIL_LINES, TERMINATION_SECONDS
from assets.launchers.ray_client import connect, runtime_environment
from assets.launchers.settings import RaySettings, check_mount
from assets.launchers.shared_disk import SharedDiskMessages, beat_file, message_file, remote_command
from training.run.attempt_lock import BEAT_VARIABLE, beating
from training.run.launch import Process


def run_on_ray(
    context: dg.AssetExecutionContext, process: Process, workspace: Workspace, settings: RaySettings
) -> Sequence[PipesExecutionResult]:
    """Run one Ray job to its end; its log is this process's output. Returns what the training reported through Pipes.

    Raises:
        LauncherError: the workspace is not on the shared disk, or no such cluster answers.
        DagsterPipesExecutionError: the job failed or was stopped by somebody else; with its last lines.
    """
    check_mount(workspace, settings)
    beat = beat_file(process, context.run_id)
    reader = _JobReader(message_file(process, context.run_id), {"headers": settings.headers})
    client = _Client(settings, reader)
    try:
        with beating(beat):
            done = client.run(context=context, submit_job_params=job_parameters(process, workspace, settings, beat))
    except RuntimeError as error:  # what dagster-ray raises for a failed job, with the end of its log
        lines = "\n".join(str(error).splitlines()[-TAIL_LINES:])
        raise DagsterPipesExecutionError(f"the Ray job of {process.job} failed; its last lines:\n{lines}") from error
    return done.get_results(implicit_materializations=False)


class _Client(PipesRayJobClient):
    def __init__(self, settings: RaySettings, reader: "_JobReader"):
        super().__init__(address=settings.address, headers=settings.headers, message_reader=reader)
        self._connected = connect(settings)

    @property
    def client(self) -> JobSubmissionClient:  # type: ignore[override]  # a property that is kept, there
        return self._connected


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
    """What is submitted: Ray takes a shell's line, and has a training of one node there; one of more nodes reserves them itself."""
    ranks = workspace.profile.engine.ranks if settings.nodes == 1 else 0
    # Ray kills a job that it stops after three seconds.
    variables = {
        BEAT_VARIABLE: str(beat),
        "RAY_JOB_STOP_WAIT_TIME_S": str(int(TERMINATION_SECONDS)),
        "RAY_DEDUP_LOGS": "0",  # else lines of one node that are like another's are left out
    }
    return {
        "submission_id": generate_job_id(),
        "entrypoint": shlex.join(["cd", str(workspace.root)]) + " && exec " + shlex.join(_command(process, settings)),
        "runtime_env": runtime_environment(settings, variables),
        "entrypoint_num_gpus": float(ranks * settings.gpus_per_rank),
        "entrypoint_num_cpus": float(0 if settings.gpus_per_rank else ranks),
    }


def _command(process: Process, settings: RaySettings) -> list[str]:
    if settings.nodes == 1:
        return remote_command(process, settings)
    least = settings.nodes if settings.nodes_least is None else settings.nodes_least
    return [
        *(settings.python, "-m", "training.run.ray_nodes", "--job", str(process.job)),
        *("--nodes", str(settings.nodes), "--least", str(least)),
        *("--gpus-per-rank", str(settings.gpus_per_rank), "--patience", str(settings.nodes_seconds)),
    ]
