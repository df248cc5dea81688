"""A process started by the launcher resource inside a real Dagster run, and the run terminated while it works."""

import os
import signal
import threading
import time
from collections.abc import Callable

import dagster as dg

from assets.core.workspace import Workspace
from assets.launchers.resource import TrainingLauncher
from training.run.launch import Process


def materialize(workspace: Workspace, process: Process) -> list:
    """Run an asset that starts `process`; returns what the process reported. A failure is raised."""
    reported: list = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext, launcher: TrainingLauncher) -> dg.MaterializeResult:
        reported.extend(launcher.run(context, process, workspace))
        return dg.MaterializeResult()

    dg.materialize([trained], resources={"launcher": TrainingLauncher()})
    return reported


def terminate_when(ready: Callable[[], bool]) -> None:
    """As Dagster terminates a run, once `ready`: SIGINT to the process that executes it, which is this one."""

    def interrupt() -> None:
        while not ready():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
