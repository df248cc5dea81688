"""The launcher's settings: a YAML file named by `$OMNIHUMAN_LAUNCHER`. They say where a training runs, never what it computes."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from profiles.schema import Strict

LAUNCHER_FILE = "OMNIHUMAN_LAUNCHER"


class LauncherError(AssetError):
    """A launcher that cannot be used; the message names the file and the remedy."""


class Elsewhere(Strict):
    """What all launchers on other machines share.

    Attributes:
        mount: folder where this machine and the training one see the same shared disk; the workspace lies in it.
        environment: variables of the training; nothing else of this process's environment gets there.
        python: interpreter there, with this project installed.
        package: what the launcher imports beyond Dagster, None where nothing; `extra` of this project brings it.
    """

    package: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    mount: Path
    environment: dict[str, str] = {}
    python: str = "python"


class KubernetesSettings(Elsewhere):
    """Pods of `engine.ranks` GPUs for each training, one or more.

    Attributes:
        image: has this project installed.
        claim: PersistentVolumeClaim of the shared disk (ReadWriteMany), mounted at `mount`.
        namespace: by default the one that Dagster runs in.
        gpu_resource: resource that a rank takes one of; null trains on the CPU.
        requests: further resources, `cpu` and `memory` as Kubernetes writes them; memory is its own limit too.
        shared_memory: size of /dev/shm, which NCCL and the loader's workers use.
        secrets: Secrets whose entries become variables (object store, MLflow).
        node_selector, tolerations, service_account: as in a pod's spec.
        nodes: pods that each training takes; more than one need Kubeflow Trainer v2 or JobSet in the cluster.
        nodes_by: the kind of object that is asked for.
        nodes_least: goes on with so many where others are lost; null: with all.
        nodes_seconds: to wait for a number of nodes before one fewer is tried.
        runtime, runtime_kind: of a TrainJob, by default deploy/helm/training-runtime.yaml's.
    """

    package = "dagster_k8s"
    extra = "k8s"
    launcher: Literal["kubernetes"]
    image: str
    claim: str
    namespace: str | None = None
    gpu_resource: str | None = "nvidia.com/gpu"
    requests: dict[str, str] = {}
    shared_memory: str = "16Gi"
    secrets: tuple[str, ...] = ()
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    service_account: str | None = None
    nodes: int = Field(default=1, ge=1)
    nodes_by: Literal["TrainJob", "JobSet"] = "TrainJob"
    nodes_least: int | None = Field(default=None, ge=1)
    nodes_seconds: float = Field(default=300.0, gt=0)
    runtime: str = "omnihuman"
    runtime_kind: Literal["TrainingRuntime", "ClusterTrainingRuntime"] = "TrainingRuntime"


class RayCuration(Strict):
    """Actors that a shard's clips are worked on by; beside them a job has a driver, of one CPU.

    Attributes:
        workers: decode and score; null: as many as the cluster has CPUs for.
        cpus_per_worker: that Ray counts for each.
        gpus_per_worker: share of a GPU for the networks of clip scores; actors that only decode take none.
        encoders: hold autoencoder, text and sound encoder.
        cpus_per_encoder: that Ray counts for each.
        gpus_per_encoder: 0 encodes on the CPU.
    """

    workers: int | None = Field(default=None, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    gpus_per_worker: float = Field(default=0.0, ge=0, le=1)
    encoders: int = Field(default=1, ge=1)
    cpus_per_encoder: float = Field(default=1.0, ge=0)
    gpus_per_encoder: float = Field(default=1.0, ge=0)


class RaySettings(Elsewhere):
    """One job on one node or more of a Ray cluster for each training.

    Attributes:
        address: of the cluster's dashboard, `http://host:8265`.
        gpus_per_rank: 0 trains on the CPU, and takes one of Ray's CPUs per rank.
        nodes: that each training takes, of `engine.ranks` ranks each.
        nodes_least: goes on with so many where others are lost; null: with all.
        nodes_seconds: to wait for a number of nodes before one fewer is tried.
        headers: sent with each request, where the dashboard stands behind a gateway.
        curation: actors for clip scores and features; null works on clips where the step is executed.
    """

    package = "dagster_ray"
    extra = "ray"
    launcher: Literal["ray"]
    address: str
    gpus_per_rank: Literal[0, 1] = 1
    nodes: int = Field(default=1, ge=1)
    nodes_least: int | None = Field(default=None, ge=1)
    nodes_seconds: float = Field(default=300.0, gt=0)
    headers: dict[str, str] = {}
    curation: RayCuration | None = None


Settings = KubernetesSettings | RaySettings


def launcher_settings() -> Settings | None:
    """What `$OMNIHUMAN_LAUNCHER` says; None without it: trainings then start on this machine, or by `engine.hostfile`.

    Raises:
        LauncherError: the file is not there, or does not validate.
    """
    given = os.environ.get(LAUNCHER_FILE)
    if not given:
        return None
    path = Path(given)
    if not path.is_file():
        raise LauncherError(
            f"{LAUNCHER_FILE} names {path}, which is not there; write it (docs/guide/deployment.md), or unset it to train on this machine"
        )
    settings: TypeAdapter[Settings] = TypeAdapter(Annotated[Settings, Field(discriminator="launcher")])
    try:
        return settings.validate_python(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise LauncherError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
        raise LauncherError(
            f"launcher settings {path} do not validate (docs/guide/deployment.md has the keys):\n" + "\n".join(lines)
        ) from error


def check_mount(workspace: Workspace, settings: Elsewhere) -> None:
    """The workspace lies on the shared disk.

    Raises:
        LauncherError: it does not, or the profile names a hostfile too.
    """
    if not workspace.root.is_relative_to(settings.mount):
        raise LauncherError(
            f"the workspace {workspace.root} is not in the launcher's mount {settings.mount}, so the machine that trains cannot see it; "
            "set OMNIHUMAN_HOME to a folder there, or correct mount"
        )
    if workspace.profile.engine.hostfile is not None:
        raise LauncherError("engine.hostfile and OMNIHUMAN_LAUNCHER both say where to train; unset one")


def missing(settings: Settings, package: str | None) -> LauncherError:
    """The error of a launcher whose package is not installed."""
    return LauncherError(
        f"launcher {settings.launcher} needs {package}: `pip install -c constraints.txt 'omnihuman-pipeline[{settings.extra}]'`"
    )
