"""deploy/compose.yaml as Docker Compose itself reads it: it is valid, asks for every secret, and publishes on loopback only."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from media.user_error import UserError
from orchestration.dagster_location.instance import CONFIGURATION
from tests.deploy.composed import SECRETS, resolve
from tests.deploy.servers import DEPLOY

pytest.importorskip("compose", reason="the extra `deployment-tests` is not installed")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def services() -> dict:
    found = resolve("compose.yaml", "compose.gpu.yaml", **SECRETS)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)["services"]


@pytest.mark.parametrize("secret", SECRETS)
def test_without_a_secret_nothing_starts_and_it_is_named(secret):
    left = {name: value for name, value in SECRETS.items() if name != secret}
    refused = resolve("compose.yaml", **left)
    assert refused.returncode != 0 and f"set {secret} in deploy/.env" in refused.stderr


def test_every_port_is_published_on_loopback_only(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"object-store", "mlflow", "dagster-webserver", "reports"}
    assert all(port["host_ip"] == "127.0.0.1" for ports in published.values() for port in ports)


def test_all_that_a_browser_reaches_is_behind_the_check_of_who_asks(services):
    """The modules that end in `serving.http.http_server.run_pages`; the object store knows keys, and no cookies."""
    shown = {name: service["command"] for name, service in services.items() if "ports" in service}
    del shown["object-store"]
    assert {name: command[2] for name, command in shown.items()} == {
        "dagster-webserver": "orchestration.dagster_server",
        "mlflow": "orchestration.mlflow_server",
        "reports": "orchestration.report_server",
    }
    assert "--allow-host=mlflow" in shown["mlflow"], "as the other services call it"


def test_the_services_find_one_another(services):
    """Names in addresses and in depends_on are services; one disk and one database are shared by all of Dagster."""
    dagster = [services[name] for name in ("code-location", "dagster-daemon", "dagster-webserver")]
    for service in dagster:
        environment = service["environment"]
        assert (
            environment["DAGSTER_POSTGRES_HOST"] in services
            and environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
        )
        assert environment["AWS_ENDPOINT_URL"] == "http://object-store:7070"
        assert {"workspace": "/workspace"}.items() <= {
            volume["source"]: volume["target"] for volume in service["volumes"]
        }.items()
    (server,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"]["host"] in services
    assert str(server["grpc_server"]["port"]) in services["code-location"]["command"]
    bound = [
        volume["source"] for service in services.values() for volume in service["volumes"] if volume["type"] == "bind"
    ]
    assert bound and all(Path(source).is_file() for source in bound)


def test_the_pages_load_the_code_server_of_the_workspace_file():
    from orchestration.dagster_server import load_target

    (origin,) = load_target(DEPLOY / "workspace.yaml").create_origins()
    assert (origin.host, origin.port) == ("code-location", 4000)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="absent.yaml: no such file"):
        load_target(DEPLOY / "absent.yaml")


def test_the_gpu_file_gives_the_gpus_to_what_trains(services):
    (device,) = services["code-location"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["count"] == -1 and device["capabilities"] == ["gpu"]


def test_no_secret_stands_in_a_file():
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / "env.example").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert example == dict.fromkeys(SECRETS, "")
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().split()


def test_the_instance_is_the_laptops_in_another_store():
    deployed = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert set(deployed.pop("storage")) == {"postgres"}
    assert deployed == yaml.safe_load(CONFIGURATION)


def test_the_image_has_every_room_and_every_extra_that_exists():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {line.split()[1] for line in lines if line.startswith("COPY") and "/" not in line}
    assert rooms <= copied
    (installed,) = [line for line in lines if "pip install" in line]
    extras = set(installed.partition("[")[2].partition("]")[0].split(","))
    assert extras == {"deployment", "k8s", "ray", "serve"} and extras <= set(
        project["project"]["optional-dependencies"]
    )
    kept = set((DEPLOY / "Dockerfile.dockerignore").read_text().split())
    assert {f"!{room}" for room in rooms} <= kept


def test_the_cluster_file_gives_dagster_a_ray_that_nobody_else_reaches(tmp_path, monkeypatch):
    from assets.launchers.settings import RaySettings, launcher_settings

    found = resolve("compose.yaml", "compose.cluster.yaml", **SECRETS)
    assert found.returncode == 0, found.stderr
    whole = json.loads(found.stdout)
    services = whole["services"]
    head, worker, code = (services[name] for name in ("ray-head", "ray-worker", "code-location"))
    assert "ports" not in head and "ports" not in worker, "who reaches Ray runs code"
    assert worker["deploy"]["replicas"] == 2 and f"--address={'ray-head'}:6379" in worker["command"]
    assert {volume["target"] for volume in head["volumes"]} <= {volume["target"] for volume in code["volumes"]}
    (config,) = code["configs"]
    path = tmp_path / "launcher.yaml"
    path.write_text(whole["configs"][config["source"]]["content"])
    assert code["environment"]["OMNIHUMAN_LAUNCHER"] == config["target"]
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(path))
    settings = launcher_settings()
    assert isinstance(settings, RaySettings) and settings.curation is not None
    assert settings.address == "http://ray-head:8265" and settings.nodes == worker["deploy"]["replicas"]
