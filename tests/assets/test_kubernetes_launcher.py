"""The pod that is asked for, as Dagster's client would send it: what is in it, and that Kubernetes' own schema takes it."""

import sys

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterPipesExecutionError

from assets.core.workspace import Workspace
from assets.launchers.settings import KubernetesSettings
from assets.launchers.shared_disk import remote_command
from profiles import load_profile
from tests.assets.launching import materialize, terminate_when
from tests.assets.pod_server import pods
from training.run.launch import Process

pytest.importorskip("dagster_k8s", reason="the extra `k8s` is not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the extra `deployment-tests` is not installed")
VERSIONS = ("1.28", "1.32", "1.37")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, load_profile("laptop", ["engine.ranks=4"]))


def pod(workspace: Workspace, **settings) -> dict:
    """The body that `PipesK8sClient.run` posts for these settings, as JSON."""
    import kubernetes
    from dagster_k8s.pipes import build_pod_body

    from assets.launchers.kubernetes import pod_spec

    given = KubernetesSettings(
        launcher="kubernetes",
        image="registry.example/omnihuman:1",
        claim="disk",
        mount=workspace.root.parent,
        **settings,
    )
    body = build_pod_body(
        pod_name="dagster-run-stage-1",
        image=None,
        command=remote_command(Process([], {}, workspace.root / "job.json"), given),
        env_vars={"DAGSTER_PIPES_CONTEXT": "c", **given.environment},
        base_pod_meta={"labels": {"omnihuman/run": "r"}},
        base_pod_spec=pod_spec(given, workspace),
    )
    return {"apiVersion": "v1", "kind": "Pod", **kubernetes.client.ApiClient().sanitize_for_serialization(body)}


def test_the_pod_has_image_command_gpus_disk_and_time_to_end(workspace):
    made = pod(
        workspace,
        requests={"memory": "200Gi", "cpu": "32"},
        environment={"MLFLOW_S3_ENDPOINT_URL": "http://s3:9000"},
        secrets=("store",),
    )
    (container,) = made["spec"]["containers"]
    assert container["image"] == "registry.example/omnihuman:1" and container["workingDir"] == str(workspace.root)
    assert container["command"] == ["python", "-m", "training.run.launch", "--job", str(workspace.root / "job.json")]
    assert container["resources"] == {
        "limits": {"nvidia.com/gpu": "4", "memory": "200Gi"},
        "requests": {"nvidia.com/gpu": "4", "memory": "200Gi", "cpu": "32"},
    }
    assert {"name": "MLFLOW_S3_ENDPOINT_URL", "value": "http://s3:9000"} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"workspace": str(workspace.root.parent), "shared-memory": "/dev/shm"}
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    assert volumes["workspace"]["persistentVolumeClaim"] == {"claimName": "disk"}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    assert made["spec"]["restartPolicy"] == "Never" and made["spec"]["terminationGracePeriodSeconds"] >= 60


def test_without_a_gpu_resource_none_is_asked_for(workspace):
    (container,) = pod(workspace, gpu_resource=None)["spec"]["containers"]
    assert "nvidia.com/gpu" not in str(container["resources"])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_pod(workspace, version):
    made = pod(
        workspace,
        namespace="ml",
        service_account="trainer",
        node_selector={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
        secrets=("store",),
    )
    kubernetes_validate.validate(made, version, strict=True)
    assert made["spec"]["serviceAccountName"] == "trainer" and made["spec"]["tolerations"][0]["operator"] == "Exists"
    made["spec"]["containers"][0]["resources"]["limit"] = {}  # the schema does look inside
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, version, strict=True)


def test_labels_lead_to_the_run_and_are_valid():
    from dagster_k8s.pipes import build_pod_body

    from assets.launchers.kubernetes import pod_meta

    labels = {}

    @dg.asset
    def stage_1_checkpoint(context: dg.AssetExecutionContext) -> None:
        labels.update(pod_meta(context)["labels"])

    run = dg.materialize([stage_1_checkpoint])
    assert labels == {"omnihuman/run": run.run_id, "omnihuman/asset": "stage_1_checkpoint"}
    assert build_pod_body("p", "i", None, {}, {"labels": labels}, None).metadata.labels["omnihuman/run"] == run.run_id


REPORTS = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    print("step 1", flush=True)
    pipes.report_asset_materialization(metadata={"loss": 0.5}, data_version="abc")
"""
FAILS = "import sys\nfor n in range(100): print('line', n)\nsys.exit('the disk is full')\n"
WAITS = "import pathlib, time\npathlib.Path('ready').touch()\ntime.sleep(60)\n"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """An API server whose pods run here, and a workspace on their shared disk; an image whose `python` runs the file `program`."""
    import kubernetes

    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} program\n")
    python.chmod(0o755)
    settings = {"launcher": "kubernetes", "image": "i", "claim": "disk", "mount": str(tmp_path), "python": str(python)}
    (tmp_path / "launcher.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(tmp_path / "launcher.yaml"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pods(tmp_path) as (server, config):
        monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(config))
        yield server


def run_pod(workspace: Workspace, program: str) -> list:
    (workspace.root / "program").write_text(program)
    return materialize(workspace, Process([], {}, workspace.root / "job.json"))


def test_a_pods_report_and_log_arrive_and_the_pod_goes(cluster, workspace, capfd):
    (result,) = run_pod(workspace, REPORTS)
    assert result.metadata["loss"].value == 0.5 and result.data_version.value == "abc"
    assert "step 1" in capfd.readouterr().out
    ((name, body),) = cluster.posted.items()
    assert cluster.deleted == [name] and body["spec"]["containers"][0]["command"][1:3] == ["-m", "training.run.launch"]
    assert not list(workspace.root.glob("pipes-*")) and not list(workspace.root.glob("*.alive"))


def test_a_pod_that_fails_fails_the_asset_with_the_tail_of_its_log(cluster, workspace):
    with pytest.raises(DagsterPipesExecutionError) as failed:
        run_pod(workspace, FAILS)
    message = str(failed.value)
    assert "the disk is full" in message and "line 99" in message and "line 3\n" not in message
    assert len(cluster.deleted) == 1


def test_a_terminated_run_deletes_its_pod(cluster, workspace):
    terminate_when((workspace.root / "ready").exists)
    with pytest.raises(BaseException) as stopped:
        run_pod(workspace, WAITS)
    assert type(stopped.value).__name__ in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
    (process,) = cluster.processes.values()
    assert process.wait(timeout=300) != 0 and len(cluster.deleted) == 1
