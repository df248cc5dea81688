"""Runs of this machine, watched: one whose process is gone ends as failed instead of being "started" for ever."""

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, which starts runs below its code server, with the answer that `run_monitoring` asks for.

    After `kill -9` of everything, or a reboot, nobody else would ever end such a run: its pool slot would stay taken and the
    inbox sensor would wait for it. Named by `dagster.yaml`.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's own launcher says no."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that started the run whether it still has it."""
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:  # run in a process of its own, as the demo does, which looks after its runs itself
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=20)
        except Exception as error:  # noqa: BLE001 - gRPC's and Dagster's own errors alike: nobody answers
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, f"the code server that started it is gone ({type(error).__name__})"
            )
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its process is gone")
