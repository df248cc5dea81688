"""The pod that is asked for, as Dagster's client would send it: what is in it, and that Kubernetes' own schema takes it."""

import dagster as dg
import pytest

from assets.launchers.settings import KubernetesSettings
from assets.launchers.shared_disk import remote_command
from assets.workspace import Workspace
from profiles import load_profile
from training.launch import Process

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

    given = KubernetesSettings(launcher="kubernetes", image="registry.example/omnihuman:1", claim="disk", mount=workspace.root.parent, **settings)
    body = build_pod_body(
        pod_name="dagster-run-stage-1", image=None, command=remote_command(Process([], {}, workspace.root / "job.json"), given),
        env_vars={"DAGSTER_PIPES_CONTEXT": "c", **given.environment}, base_pod_meta={"labels": {"omnihuman/run": "r"}},
        base_pod_spec=pod_spec(given, workspace),
    )
    return {"apiVersion": "v1", "kind": "Pod", **kubernetes.client.ApiClient().sanitize_for_serialization(body)}


def test_the_pod_has_image_command_gpus_disk_and_time_to_end(workspace):
    made = pod(workspace, requests={"memory": "200Gi", "cpu": "32"}, environment={"MLFLOW_S3_ENDPOINT_URL": "http://s3:9000"}, secrets=("store",))
    (container,) = made["spec"]["containers"]
    assert container["image"] == "registry.example/omnihuman:1" and container["workingDir"] == str(workspace.root)
    assert container["command"] == ["python", "-m", "training.launch", "--job", str(workspace.root / "job.json")]
    assert container["resources"] == {
        "limits": {"nvidia.com/gpu": "4", "memory": "200Gi"}, "requests": {"nvidia.com/gpu": "4", "memory": "200Gi", "cpu": "32"},
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
        workspace, namespace="ml", service_account="trainer", node_selector={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},), secrets=("store",),
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
