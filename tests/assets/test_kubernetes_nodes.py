"""A training on several nodes of Kubernetes: the objects against Kubeflow's own models and Kubernetes' schema, and what a lost node does."""

import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from dagster._core.errors import DagsterPipesExecutionError

from assets.core.workspace import Workspace
from assets.launchers.settings import KubernetesSettings, LauncherError
from profiles import load_profile
from tests.assets.launching import materialize
from tests.assets.pod_server import pods
from training.run.launch import Place, Process, launch_command, place_of_pet

pytest.importorskip("dagster_k8s", reason="the extra `k8s` is not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the extra `deployment-tests` is not installed")
RUNTIME = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "training-runtime.yaml"
WHOLE = {
    "namespace": "ml",
    "service_account": "trainer",
    "node_selector": {"omnihuman/nodes": "gpu"},
    "tolerations": ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    "requests": {"memory": "200Gi", "cpu": "32"},
    "secrets": ("store",),
}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, load_profile("laptop", ["engine.ranks=4"]))


def made(workspace: Workspace, kind: str, **settings) -> dict:
    """The object for two nodes."""
    from assets.launchers.kubernetes_nodes import job_object

    place = {"image": "registry.example/omnihuman:1", "claim": "disk", "mount": workspace.root.parent}
    given = KubernetesSettings(launcher="kubernetes", nodes_by=kind, **place, **settings)
    process = Process([], {}, workspace.root / "job.json")
    return job_object(process, workspace, given, 2, {"DAGSTER_PIPES_CONTEXT": "c"}, {"omnihuman/run": "r"})


def kept_by(model: str, body: dict) -> dict:
    """What Kubeflow's own model keeps of an object; a key that it does not know is gone, a value of another type an error."""
    models = pytest.importorskip("kubeflow_trainer_api.models", reason="kubeflow-trainer-api is not installed")
    return getattr(models, model).from_dict(body).to_dict()


@pytest.mark.parametrize(
    ("kind", "model"), [("TrainJob", "TrainerV1alpha1TrainJob"), ("JobSet", "JobsetV1alpha2JobSet")]
)
def test_kubeflows_own_models_keep_every_key(workspace, kind, model):
    body = made(workspace, kind, **WHOLE)
    assert kept_by(model, body) == body
    wrong = {**body, "spec": {**body["spec"], "replicas": 2}}
    assert kept_by(model, wrong) != wrong, "the model does look"


def test_the_runtime_is_what_a_train_job_patches(workspace):
    runtime, body = yaml.safe_load(RUNTIME.read_text()), made(workspace, "TrainJob", **WHOLE)
    assert body["spec"]["runtimeRef"] == {"name": runtime["metadata"]["name"], "kind": runtime["kind"]}
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    patch = body["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert [entry["name"] for entry in patch] == [job["name"]]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    (patched,) = patch[0]["template"]["spec"]["template"]["spec"]["containers"]
    assert patched["name"] == container["name"] and job["template"]["spec"]["backoffLimit"] == 0
    assert kept_by("TrainerV1alpha1TrainingRuntime", runtime) == runtime


@pytest.mark.parametrize("version", ["1.28", "1.32", "1.37"])
def test_kubernetes_takes_the_job_of_a_job_set(workspace, version):
    body = made(workspace, "JobSet", **WHOLE)
    (replicated,) = body["spec"]["replicatedJobs"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "n"}, **replicated["template"]}
    kubernetes_validate.validate(job, version, strict=True)
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    variables = {entry["name"]: entry for entry in container["env"]}
    name = body["metadata"]["name"]
    assert variables["PET_MASTER_ADDR"]["value"] == f"{name}-trainer-0-0.{name}", "the first pod, as JobSet names hosts"


def test_the_nodes_of_one_training_meet_at_the_first(workspace):
    variables = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "a-0.a", "PET_MASTER_PORT": "29400"}
    place = place_of_pet(variables)
    assert place == Place(2, 1, "a-0.a", 29400)
    command = launch_command(workspace.root / "job.json", workspace.profile.engine, place)
    assert {"--node_rank=1", "--master_addr=a-0.a", "--master_port=29400"} < set(command)


# Node 0 reports, as rank 0 of a training does.
REPORTS = """
import os
from dagster_pipes import open_dagster_pipes
rank, nodes = os.environ["PET_NODE_RANK"], os.environ["PET_NNODES"]
print("node", rank, "of", nodes, flush=True)
if rank == "0":
    with open_dagster_pipes() as pipes:
        pipes.report_asset_materialization(metadata={"nodes": int(nodes)}, data_version="abc")
"""
FAILS_ON_ONE = (
    "import os, sys, time\nif os.environ['PET_NODE_RANK'] == '1': sys.exit('the disk is full')\ntime.sleep(1)\n"
)
# At first a long training; once more on two nodes its ranks wait for those that do not come.
WAITS_FIRST = """
import os, pathlib, time
pathlib.Path("ready").touch()
if not pathlib.Path("again").exists() or os.environ["PET_NNODES"] == "2":
    time.sleep(60)
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """An API server whose pods run here; an image whose `python` runs the file `program`."""
    import kubernetes

    import assets.launchers.kubernetes_nodes as launcher

    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} program\n")
    python.chmod(0o755)
    settings = {
        "launcher": "kubernetes", "image": "i", "claim": "disk", "mount": str(tmp_path), "python": str(python), "nodes": 2,
        "nodes_least": 1, "nodes_seconds": 0.5,
    }  # fmt: skip
    (tmp_path / "launcher.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(tmp_path / "launcher.yaml"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(launcher, "POLL_SECONDS", 0.1)
    with pods(tmp_path) as (server, config):
        monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(config))
        yield server


def run_nodes(workspace: Workspace, program: str) -> list:
    (workspace.root / "program").write_text(program)
    return materialize(workspace, Process([], {}, workspace.root / "job.json"))


def test_two_nodes_run_report_once_and_leave_a_log_each(cluster, workspace, capfd):
    (result,) = run_nodes(workspace, REPORTS)
    assert result.metadata["nodes"].value == 2 and result.data_version.value == "abc"
    assert [(workspace.root / f"node-{n}.log").read_text() for n in range(2)] == ["node 0 of 2\n", "node 1 of 2\n"]
    assert "[node 1] node 1 of 2" in capfd.readouterr().out
    assert cluster.deleted == list(cluster.objects) and not list(workspace.root.glob("*.alive"))


def test_a_node_that_fails_fails_the_asset_with_its_last_lines(cluster, workspace):
    with pytest.raises(DagsterPipesExecutionError, match=r"\[node 1\] the disk is full"):
        run_nodes(workspace, FAILS_ON_ONE)
    assert cluster.deleted == list(cluster.objects)


def test_where_a_node_is_taken_the_training_is_asked_for_again_and_on_fewer(cluster, workspace):
    def take_a_node() -> None:
        while not (workspace.root / "ready").exists() or len(cluster.posted) < 2:
            time.sleep(0.02)
        (workspace.root / "again").touch()
        cluster.room = 1
        cluster.lost.add(list(cluster.posted)[1])

    threading.Thread(target=take_a_node, daemon=True).start()
    (result,) = run_nodes(workspace, WAITS_FIRST + REPORTS)
    asked = [body["spec"]["trainer"]["numNodes"] for body in cluster.objects.values()]
    assert asked == [2, 2, 1] and result.metadata["nodes"].value == 1
    assert cluster.deleted == list(cluster.objects)


def test_too_few_nodes_or_a_cluster_without_the_kind_say_so(cluster, workspace):
    cluster.room = 0
    with pytest.raises(DagsterPipesExecutionError, match="lower nodes_least"):
        run_nodes(workspace, REPORTS)
    cluster.known = {"jobsets"}
    with pytest.raises(LauncherError, match="knows no TrainJob"):
        run_nodes(workspace, REPORTS)
