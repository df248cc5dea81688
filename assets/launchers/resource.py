"""The resource that assets start trainings with. What it needs beyond Dagster is imported by the launcher that is chosen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from assets.core.workspace import Workspace
from assets.launchers.settings import KubernetesSettings, RaySettings, Settings, launcher_settings, missing

if TYPE_CHECKING:
    from dagster._core.pipes.context import PipesExecutionResult

    from training.run.launch import Process


class TrainingLauncher(dg.ConfigurableResource):
    """Starts trainings where `$OMNIHUMAN_LAUNCHER` says: in Kubernetes pods or as a Ray job; without it by DeepSpeed on this machine, or by `engine.hostfile`."""

    def run(
        self, context: dg.AssetExecutionContext, process: "Process", workspace: Workspace
    ) -> "Sequence[PipesExecutionResult]":
        """Run to the end, with the process's output as this one's; returns what it reported through Dagster Pipes.

        Raises:
            LauncherError: the settings do not fit, or the launcher's packages are not installed.
            DagsterPipesExecutionError: the process failed; with the last lines that it printed.
        """
        settings = launcher_settings() if process.job is not None else None
        if isinstance(settings, KubernetesSettings):
            with _installed(settings):
                from assets.launchers.kubernetes import run_in_kubernetes
                from assets.launchers.kubernetes_nodes import run_on_nodes
            if settings.nodes > 1:
                return run_on_nodes(context, process, workspace, settings)
            return run_in_kubernetes(context, process, workspace, settings)
        if isinstance(settings, RaySettings):
            with _installed(settings):
                from assets.launchers.ray import run_on_ray
            return run_on_ray(context, process, workspace, settings)
        from assets.launchers.local import run_here

        return run_here(context, process, workspace)


@contextmanager
def _installed(settings: Settings) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise missing(settings, error.name) from error
