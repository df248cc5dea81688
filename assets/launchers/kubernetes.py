"""A training as a pod, through Dagster's `PipesK8sClient`. The pod goes when the training ends, or the Dagster run is terminated."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError
from dagster._core.pipes.context import PipesExecutionResult
from dagster_k8s import PipesK8sClient
from dagster_k8s.client import DagsterK8sError
from dagster_k8s.pipes import PipesK8sPodLogsMessageReader
from dagster_pipes import PipesParams

from assets.core.workspace import Workspace
from assets.launchers.local import TAIL_LINES, TERMINATION_SECONDS
from assets.launchers.settings import KubernetesSettings, check_mount
from assets.launchers.shared_disk import SharedDiskMessages, beat_file, message_file, remote_command
from training.run.attempt_lock import BEAT_VARIABLE, beating
from training.run.launch import Process

WHOLE_WEEKS = 28 * 24 * 3600.0


def run_in_kubernetes(
    context: dg.AssetExecutionContext, process: Process, workspace: Workspace, settings: KubernetesSettings
) -> Sequence[PipesExecutionResult]:
    """Run one pod to its end; its log is this process's output. Returns what the training reported through Pipes.

    Raises:
        LauncherError: the workspace is not on the shared disk.
        DagsterPipesExecutionError: the pod failed; with its last lines.
    """
    check_mount(workspace, settings)
    beat = beat_file(process, context.run_id)
    client = PipesK8sClient(message_reader=_PodReader(message_file(process, context.run_id)))
    try:
        with beating(beat):
            done = client.run(
                context=context,
                command=remote_command(process, settings),
                namespace=settings.namespace,
                env=settings.environment | {BEAT_VARIABLE: str(beat)},
                base_pod_meta=pod_meta(context),
                base_pod_spec=pod_spec(settings, workspace),
                pod_wait_timeout=WHOLE_WEEKS,
            )
    except DagsterK8sError as error:
        lines = "\n".join(str(error).replace("\\n", "\n").splitlines()[-TAIL_LINES:])
        raise DagsterPipesExecutionError(f"the pod of {process.job} failed; its last lines:\n{lines}") from error
    return done.get_results(implicit_materializations=False)


class _PodReader(PipesK8sPodLogsMessageReader):
    """The pod's log becomes this process's output, as with Dagster's own reader; reports come over the shared disk."""

    def __init__(self, path: Path) -> None:
        self._disk = SharedDiskMessages(path)

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[PipesParams]:
        with super().read_messages(handler), self._disk.read_messages(handler) as params:
            yield params


def pod_meta(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Labels that lead from a pod to its run."""
    return {"labels": {"omnihuman/run": context.run_id, "omnihuman/asset": context.asset_key.path[-1]}}


def pod_spec(settings: KubernetesSettings, workspace: Workspace) -> dict[str, Any]:
    """All of the pod but command and variables: image, GPUs, shared disk, shared memory, where it may run, how long it may take to end."""
    ranks = workspace.profile.engine.ranks
    gpus = {} if settings.gpu_resource is None else {settings.gpu_resource: str(ranks)}
    limits = gpus | {name: size for name, size in settings.requests.items() if name == "memory"}
    container = {
        "name": "training",
        "image": settings.image,
        "workingDir": str(workspace.root),
        "resources": {"limits": limits, "requests": settings.requests | gpus},
        "envFrom": [{"secretRef": {"name": name}} for name in settings.secrets],
        "volumeMounts": [
            {"name": "workspace", "mountPath": str(settings.mount)},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
    }
    spec = {
        "restartPolicy": "Never",  # Dagster tries again, from the last checkpoint
        "terminationGracePeriodSeconds": int(TERMINATION_SECONDS),
        "containers": [container],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": settings.claim}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
        ],
        "nodeSelector": settings.node_selector,
        "tolerations": list(settings.tolerations),
    }
    return spec if settings.service_account is None else spec | {"serviceAccountName": settings.service_account}
