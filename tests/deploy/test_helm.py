"""deploy/helm against Kubernetes' own schemas, and against what the code that runs there reads."""

from pathlib import Path

import pytest
import yaml

from assets.launchers.settings import KubernetesSettings, launcher_settings
from orchestration.instance import CONFIGURATION

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the extra `deployment-tests` is not installed")
HELM = Path(__file__).resolve().parents[2] / "deploy" / "helm"
VERSION = "1.32"


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict]:
    found = yaml.safe_load_all((HELM / "omnihuman.yaml").read_text())
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in found}


@pytest.fixture(scope="module")
def values() -> dict:
    return yaml.safe_load((HELM / "values.yaml").read_text())


def test_kubernetes_takes_the_manifests(manifests):
    assert set(manifests) == {
        ("PersistentVolumeClaim", "omnihuman-workspace"), ("ConfigMap", "omnihuman-launcher"), ("Deployment", "mlflow"), ("Service", "mlflow"),
    }
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_the_service_finds_its_server(manifests):
    server, service = manifests["Deployment", "mlflow"], manifests["Service", "mlflow"]
    assert service["spec"]["selector"].items() <= server["spec"]["template"]["metadata"]["labels"].items()
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in [port["name"] for port in container["ports"]]


def test_what_the_values_say_of_pods_fits_into_pods(values):
    """Volumes, mounts, selectors, tolerations and resources, as the chart puts them into the pods of runs and services."""
    run = values["runLauncher"]["config"]["k8sRunLauncher"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    for part, pod, container in (
        (run, run["runK8sConfig"]["podSpecConfig"], run["runK8sConfig"]["containerConfig"]),
        (deployment, {"nodeSelector": deployment["nodeSelector"]}, {}),
        (values["dagsterWebserver"], {"nodeSelector": values["dagsterWebserver"]["nodeSelector"]}, {}),
    ):
        spec = {"containers": [{"name": "c", "image": "i", "volumeMounts": part["volumeMounts"], **container}], "volumes": part["volumes"], **pod}
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, VERSION, strict=True)
        assert {mount["name"] for mount in part["volumeMounts"]} == {volume["name"] for volume in part["volumes"]}


def test_runs_and_trainings_share_the_disk_and_the_gpu_nodes(values, manifests, tmp_path, monkeypatch):
    """launcher.yaml of the ConfigMap, read by the code that reads it in a run, at the path that the values name."""
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    named = Path(deployment["env"]["OMNIHUMAN_LAUNCHER"])
    mounts = {mount["mountPath"]: mount["name"] for mount in deployment["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in deployment["volumes"]}
    config = manifests["ConfigMap", volumes[mounts[str(named.parent)]]["configMap"]["name"]]
    (tmp_path / named.name).write_text(config["data"][named.name])
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(tmp_path / named.name))
    settings = launcher_settings()
    assert isinstance(settings, KubernetesSettings)
    claim = volumes[mounts[str(settings.mount)]]["persistentVolumeClaim"]["claimName"]
    assert claim == settings.claim and ("PersistentVolumeClaim", claim) in manifests
    assert Path(deployment["env"]["OMNIHUMAN_HOME"]).is_relative_to(settings.mount)
    assert settings.image == f"{deployment['image']['repository']}:{deployment['image']['tag']}"
    pods = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    assert pods["nodeSelector"] == settings.node_selector and pods["tolerations"] == list(settings.tolerations)


def test_limits_and_retries_are_the_laptops(values):
    here = yaml.safe_load(CONFIGURATION)
    assert values["concurrency"]["pools"]["defaultLimit"] == here["concurrency"]["pools"]["default_limit"]
    assert values["concurrency"]["runs"]["maxConcurrentRuns"] == here["concurrency"]["runs"]["max_concurrent_runs"]
    assert values["dagsterDaemon"]["runRetries"]["maxRetries"] == here["run_retries"]["max_retries"]
    assert values["dagsterDaemon"]["runMonitoring"]["pollIntervalSeconds"] == here["run_monitoring"]["poll_interval_seconds"]
