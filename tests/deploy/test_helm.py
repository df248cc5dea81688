"""deploy/helm against Kubernetes' own schemas, and against what the code that runs there reads; Dagster's chart, rendered by Helm."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.launchers.settings import KubernetesSettings, launcher_settings
from orchestration.dagster_location.instance import CONFIGURATION

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the extra `deployment-tests` is not installed")
HELM = Path(__file__).resolve().parents[2] / "deploy" / "helm"
VERSION = "1.32"
PAGES = {
    "dagster-pages": "orchestration.dagster_server",
    "mlflow": "orchestration.mlflow_server",
    "reports": "orchestration.report_server",
}


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict]:
    found = yaml.safe_load_all((HELM / "omnihuman.yaml").read_text())
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in found}


@pytest.fixture(scope="module")
def values() -> dict:
    return yaml.safe_load((HELM / "values.yaml").read_text())


def test_kubernetes_takes_the_manifests(manifests):
    assert set(manifests) == {
        ("PersistentVolumeClaim", "omnihuman-workspace"),
        ("ConfigMap", "omnihuman-launcher"),
        *((kind, name) for kind in ("Deployment", "Service") for name in PAGES),
    }
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize("name", PAGES)
def test_the_service_finds_its_server_which_checks_who_asks(manifests, values, name):
    server, service = manifests["Deployment", name], manifests["Service", name]
    assert service["spec"]["selector"].items() <= server["spec"]["template"]["metadata"]["labels"].items()
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in [port["name"] for port in container["ports"]]
    assert container["command"][:3] == ["python", "-m", PAGES[name]]
    assert values["dagsterWebserver"]["replicaCount"] == 0, "Dagster's own pages check nobody"


def test_what_the_values_say_of_pods_fits_into_pods(values):
    """Volumes, mounts, selectors, tolerations and resources, as the chart puts them into the pods of runs and services."""
    run = values["runLauncher"]["config"]["k8sRunLauncher"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    for part, pod, container in (
        (run, run["runK8sConfig"]["podSpecConfig"], run["runK8sConfig"]["containerConfig"]),
        (deployment, {"nodeSelector": deployment["nodeSelector"]}, {}),
        (values["dagsterWebserver"], {"nodeSelector": values["dagsterWebserver"]["nodeSelector"]}, {}),
    ):
        spec = {
            "containers": [{"name": "c", "image": "i", "volumeMounts": part["volumeMounts"], **container}],
            "volumes": part["volumes"],
            **pod,
        }
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, VERSION, strict=True
        )
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
    assert (
        values["dagsterDaemon"]["runMonitoring"]["pollIntervalSeconds"]
        == here["run_monitoring"]["poll_interval_seconds"]
    )


def names_of_cluster_things(value: Any) -> Iterator[tuple[str, str]]:
    """What a manifest names without bringing it: claims, ConfigMaps and Secrets."""
    if isinstance(value, list):
        for one in value:
            yield from names_of_cluster_things(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "persistentVolumeClaim":
                yield "PersistentVolumeClaim", one["claimName"]
            elif key in ("configMapRef", "configMapKeyRef", "configMap") and "name" in one:
                yield "ConfigMap", one["name"]
            elif key in ("secretRef", "secretKeyRef") and not one.get("optional"):
                yield "Secret", one["name"]
            else:
                yield from names_of_cluster_things(one)


def test_dagsters_chart_takes_the_values_and_kubernetes_what_it_makes(values, manifests):
    """`pip install helm-python-sdk` is Helm's own engine; OMNIHUMAN_DAGSTER_CHART is what `helm pull dagster/dagster` brings."""
    place = os.environ.get("OMNIHUMAN_DAGSTER_CHART")
    if place is None:
        pytest.skip("OMNIHUMAN_DAGSTER_CHART names no chart of Dagster")
    helm = pytest.importorskip("helm_python.chart", reason="run `pip install helm-python-sdk`")
    with helm.Chart.load(place) as chart:
        files, knows_pools = chart.render(values, name="dagster", namespace="ml"), "concurrency" in chart.values
    made = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    for manifest in made:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    named = {(one["kind"], one["metadata"]["name"]): one for one in made}
    assert {kind for kind, _ in named} >= {
        "Deployment",
        "ConfigMap",
        "Service",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    }
    brought = {*named, *manifests, ("Secret", "dagster-postgresql"), ("Secret", "omnihuman")}
    assert set(names_of_cluster_things(list(manifests.values()))) <= brought
    instance = yaml.safe_load(named["ConfigMap", "dagster-instance"]["data"]["dagster.yaml"])
    assert {*names_of_cluster_things(made), *names_of_cluster_things(instance["run_launcher"])} <= brought
    here = yaml.safe_load(CONFIGURATION)
    assert (
        here["run_retries"].items() <= instance["run_retries"].items()
        and here["run_monitoring"].items() <= instance["run_monitoring"].items()
    )
    assert not knows_pools or instance["concurrency"] == here["concurrency"]
    for store in ("run_storage", "event_log_storage", "schedule_storage"):
        assert instance[store]["config"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    workspace = yaml.safe_load(named["ConfigMap", "dagster-workspace-yaml"]["data"]["workspace.yaml"])
    server = workspace["load_from"][0]["grpc_server"]
    assert ("Service", server["host"]) in named and server["port"] == 4000
