"""A training on several nodes of a Kubernetes cluster: a `TrainJob` of Kubeflow Trainer v2, or a JobSet where that is not installed.

Each pod is one node and starts DeepSpeed's launcher (`training.run.launch --from-pet`), which finds the others by the variables that torch's
runtimes of Kubeflow set (`PET_*`); for a JobSet they are set here. Where a node is lost the training is asked for again, and goes on from
its last checkpoint: on as many nodes, or where they do not come within `nodes_seconds` on fewer.
"""

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes
from dagster._core.errors import DagsterPipesExecutionError
from dagster._core.pipes.context import PipesExecutionResult
from kubernetes.client import ApiException

from assets.core.workspace import Workspace
from assets.launchers.kubernetes import pod_meta, pod_spec
from assets.launchers.local import TAIL_LINES
from assets.launchers.settings import KubernetesSettings, LauncherError, check_mount
from assets.launchers.shared_disk import SharedDiskMessages, beat_file, message_file, remote_command
from training.run.attempt_lock import BEAT_VARIABLE, beating
from training.run.launch import Process

PORT = 29400
TRAINER, NODE = "trainer", "node"  # names of the job and of its container in Kubeflow's own runtimes
PLURALS = {"TrainJob": "trainjobs", "JobSet": "jobsets"}
INDEX = "batch.kubernetes.io/job-completion-index"
POLL_SECONDS = 2.0


def run_on_nodes(
    context: dg.AssetExecutionContext, process: Process, workspace: Workspace, settings: KubernetesSettings
) -> Sequence[PipesExecutionResult]:
    """Run one training on `settings.nodes` nodes to its end; the pods' logs are this process's output, and a file each beside the job.

    Raises:
        LauncherError: the workspace is not on the shared disk, or the cluster knows no such kind of object.
        DagsterPipesExecutionError: a pod failed by itself; with the last lines of all. Or there are not `nodes_least` nodes.
    """
    check_mount(workspace, settings)
    beat = beat_file(process, context.run_id)
    reader = SharedDiskMessages(message_file(process, context.run_id))
    with dg.open_pipes_session(context, dg.PipesEnvContextInjector(), reader) as session, beating(beat):
        environment = settings.environment | dict(session.get_bootstrap_env_vars()) | {BEAT_VARIABLE: str(beat)}
        cluster, nodes = _Cluster(settings), settings.nodes
        while True:
            body = job_object(process, workspace, settings, nodes, environment, pod_meta(context)["labels"])
            outcome = cluster.attempt(body, Path(str(process.job)).parent)
            if outcome == "complete":
                break
            least = settings.nodes if settings.nodes_least is None else settings.nodes_least
            if outcome == "no_nodes" and nodes <= least:
                raise DagsterPipesExecutionError(
                    f"the cluster gave no {nodes} nodes to {body['metadata']['name']} within {settings.nodes_seconds:.0f} s; free some, or lower nodes_least"
                )
            nodes = nodes - 1 if outcome == "no_nodes" else settings.nodes
            print(f"{outcome.replace('_', ' ')}: the training goes on from its last checkpoint on {nodes}", flush=True)
    return session.get_results(implicit_materializations=False)


class _Cluster:
    """The API of the cluster that this process is in, or that its kubeconfig names."""

    def __init__(self, settings: KubernetesSettings):
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            kubernetes.config.load_incluster_config()
        else:
            kubernetes.config.load_kube_config()
        self._settings = settings
        self._objects, self._core = kubernetes.client.CustomObjectsApi(), kubernetes.client.CoreV1Api()
        self._namespace = settings.namespace or _own_namespace()

    def attempt(self, body: dict[str, Any], folder: Path) -> str:
        """`complete`, `node_lost` or `no_nodes`; in the end the object is gone.

        Raises:
            DagsterPipesExecutionError: a pod failed by itself.
        """
        name = body["metadata"]["name"]
        group, version = body["apiVersion"].split("/")
        place = (group, version, self._namespace, PLURALS[body["kind"]])
        try:
            self._objects.create_namespaced_custom_object(*place, body)
        except ApiException as error:
            if error.status != 404:
                raise
            raise LauncherError(
                f"the cluster knows no {body['kind']} of {body['apiVersion']}; install it, or set nodes_by of the launcher to the other kind"
            ) from error
        logs = _Logs(self._core, self._namespace, folder)
        try:
            return self._wait(name, place, logs)
        finally:
            self._objects.delete_namespaced_custom_object(*place, name, propagation_policy="Foreground")

    def _wait(self, name: str, place: tuple[str, str, str, str], logs: "_Logs") -> str:
        asked = time.monotonic()
        while True:
            status = self._objects.get_namespaced_custom_object(*place, name).get("status", {})
            ended = {entry["type"] for entry in status.get("conditions", []) if entry["status"] == "True"}
            pods = self._core.list_namespaced_pod(
                self._namespace, label_selector=f"jobset.sigs.k8s.io/jobset-name={name}"
            ).items
            logs.follow(pods)
            if ended & {"Complete", "Completed"}:
                logs.end()
                return "complete"
            if any(_is_lost(pod) for pod in pods):
                return "node_lost"
            if "Failed" in ended:
                logs.end()
                raise DagsterPipesExecutionError(
                    f"{place[3]} {name} failed; the last lines of its pods:\n" + "\n".join(logs.tail)
                )
            # A scheduler that knows no gangs lets some begin, which then wait for the others.
            waiting = any(pod.status.phase == "Pending" for pod in pods) or not (pods or logs.begun)
            if waiting and time.monotonic() - asked > self._settings.nodes_seconds:
                return "no_nodes"
            time.sleep(POLL_SECONDS)


class _Logs:
    """The pods' logs as they grow: into `node-<number>.log` of a folder, and behind the number into this process's output."""

    def __init__(self, core: kubernetes.client.CoreV1Api, namespace: str, folder: Path):
        self._core, self._namespace, self._folder = core, namespace, folder
        self._threads: dict[str, threading.Thread] = {}
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)

    @property
    def begun(self) -> bool:
        """Whether any pod has run."""
        return bool(self._threads)

    def follow(self, pods: Sequence[Any]) -> None:
        """Those that have begun since."""
        for pod in pods:
            if pod.metadata.name not in self._threads and pod.status.phase != "Pending":
                number = (pod.metadata.annotations or {}).get(INDEX, "0")
                thread = threading.Thread(target=self._read, args=(pod.metadata.name, number), daemon=True)
                self._threads[pod.metadata.name] = thread
                thread.start()

    def end(self) -> None:
        """Wait for the last lines."""
        for thread in self._threads.values():
            thread.join(timeout=30.0)

    def _read(self, name: str, number: str) -> None:
        stream = self._core.read_namespaced_pod_log(name, self._namespace, follow=True, _preload_content=False)
        with (self._folder / f"node-{number}.log").open("ab") as file:
            for line in stream:
                file.write(line)
                file.flush()
                self.tail.append(f"[node {number}] {line.decode(errors='replace').rstrip()}")
                os.write(1, f"[node {number}] ".encode() + line)


def _is_lost(pod: Any) -> bool:
    """Whether its node went or was taken from it: an eviction, a preemption, a node that does not answer."""
    if pod.status.reason in ("Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated"):
        return True
    return any(entry.type == "DisruptionTarget" and entry.status == "True" for entry in pod.status.conditions or [])


def job_object(
    process: Process,
    workspace: Workspace,
    settings: KubernetesSettings,
    nodes: int,
    environment: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """The object that is posted: `settings.nodes_by` says of which kind."""
    name = f"omnihuman-{uuid.uuid4().hex[:10]}"
    metadata = {"name": name, "labels": dict(labels)}
    command = [*remote_command(process, settings), "--from-pet"]
    if settings.nodes_by == "TrainJob":
        return {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": metadata,
            "spec": train_job_spec(command, workspace, settings, nodes, environment),
        }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": job_set_spec(name, command, workspace, settings, nodes, environment),
    }


def train_job_spec(
    command: list[str], workspace: Workspace, settings: KubernetesSettings, nodes: int, environment: Mapping[str, str]
) -> dict[str, Any]:
    """What a `TrainJob` says of itself; the rest, secrets with it, is the runtime's (deploy/helm/training-runtime.yaml)."""
    pod = pod_spec(settings, workspace)
    (container,) = pod["containers"]
    patched = {
        "terminationGracePeriodSeconds": pod["terminationGracePeriodSeconds"],
        "volumes": pod["volumes"],
        "containers": [{"name": NODE, "volumeMounts": container["volumeMounts"]}],
        **({"nodeSelector": pod["nodeSelector"]} if pod["nodeSelector"] else {}),
        **({"tolerations": pod["tolerations"]} if pod["tolerations"] else {}),
        **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
    }
    jobs = [{"name": NODE, "template": {"spec": {"template": {"spec": patched}}}}]
    return {
        "runtimeRef": {"name": settings.runtime, "kind": settings.runtime_kind},
        "trainer": {
            "image": settings.image,
            "command": command,
            "numNodes": nodes,
            "numProcPerNode": workspace.profile.engine.ranks,
            "resourcesPerNode": container["resources"],
            "env": _entries(environment),
        },
        "runtimePatches": [
            {
                "manager": "omnihuman.io/launcher",
                "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}},
            }
        ],
    }


def job_set_spec(
    name: str,
    command: list[str],
    workspace: Workspace,
    settings: KubernetesSettings,
    nodes: int,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """One Indexed Job whose pods are the nodes; none is started again by itself, since its ranks would wait for ever for the others."""
    pet = {
        "PET_NNODES": str(nodes),
        "PET_MASTER_ADDR": f"{name}-{TRAINER}-0-0.{name}",
        "PET_MASTER_PORT": str(PORT),
    }
    pod = pod_spec(settings, workspace)
    (container,) = pod["containers"]
    of_index = {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}
    container |= {
        "command": command,
        "env": [*_entries({**environment, **pet}), {"name": "PET_NODE_RANK", "valueFrom": of_index}],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
    }
    job = {
        "completionMode": "Indexed",
        "parallelism": nodes,
        "completions": nodes,
        "backoffLimit": 0,
        "template": {"spec": pod},
    }
    return {
        "network": {"enableDNSHostnames": True},
        "failurePolicy": {"maxRestarts": 0},
        "replicatedJobs": [{"name": TRAINER, "replicas": 1, "template": {"spec": job}}],
    }


def _entries(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in environment.items()]


def _own_namespace() -> str:
    """Of the pod that this process runs in, or of the kubeconfig's context."""
    mounted = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    if mounted.is_file():
        return mounted.read_text().strip()
    _, active = kubernetes.config.list_kube_config_contexts()
    return active["context"].get("namespace", "default")
