"""A Ray cluster of nodes on loopback, each started by its command in deploy/compose.cluster.yaml as on a machine of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from tests.deploy.servers import DEPLOY, answers, free_port
from tests.forked import PYTHON_VARIABLE
from training.run.supervise import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
STARTED = "Ray runtime started"
PATIENCE = 300.0  # seconds
# A node that is to find a port for one of these waits 15 seconds for it to be written, and ends.
AGENTS = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
# What else Ray gives up on after a minute or less, on a machine that does much else. A node that was killed refuses a connection, and is known sooner.
PATIENT = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
    "RAY_prestart_worker_first_driver": "0",  # processes that nobody asked for
}
EVERYWHERE = ["--node-ip-address", "127.0.0.1", "--min-worker-port", "0", "--max-worker-port", "0"]
STORE_BYTES = 100_000_000  # of a node's shared memory


@dataclass
class RayCluster:
    """`address` is the dashboard's, `store` what nodes and drivers connect to. With `kill` a node ends as a machine does: all at once."""

    folder: Path
    address: str
    store: str
    head: subprocess.Popen
    nodes: list[subprocess.Popen] = field(default_factory=list)

    def add(self) -> int:
        """Start one more node; returns its number."""
        number = len(self.nodes)
        # Nodes of one machine log into one folder, which the head's monitor reads.
        command = _command("ray-worker", {"ray-head:6379": self.store}) + ["--include-log-monitor", "false"]
        self.nodes.append(_start(command, self.folder / f"node-{number}.log", STORE_BYTES))
        return number

    def kill(self, number: int) -> None:
        """Its raylet, agents and workers, with -9."""
        kill_family(self.nodes[number])


@contextmanager
def ray_cluster(cpus: int = 1, store_bytes: int = STORE_BYTES) -> Iterator[RayCluster]:
    """A head, which is a node too, of so many CPUs as Ray counts them. When this process is killed it ends with it."""
    # Ray's sockets lie below it, and a socket's path has at most 107 letters: pytest's own folders can be too deep.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as name:
        port, store, log = free_port(), free_port(), Path(name) / "head.log"
        here = {
            "--port=6379": f"--port={store}", "--dashboard-host=0.0.0.0": "--dashboard-host=127.0.0.1",
            "--num-cpus=1": f"--num-cpus={cpus}",
        }  # fmt: skip
        command = [*_command("ray-head", here), "--dashboard-port", str(port), "--no-monitor", "--temp-dir", name]
        address = f"http://127.0.0.1:{port}"
        cluster = RayCluster(Path(name), address, f"127.0.0.1:{store}", _start(command, log, store_bytes))
        try:
            jobs = f"{address}/api/jobs/"
            _wait(lambda: answers(jobs), lambda: _last_words(Path(name), jobs))
            yield cluster
        finally:
            for node in (*cluster.nodes, cluster.head):
                if node.poll() is None:
                    kill_family(node)


def cluster_file() -> dict[str, Any]:
    """deploy/compose.cluster.yaml."""
    return yaml.safe_load((DEPLOY / "compose.cluster.yaml").read_text())


def cluster_settings(cluster: RayCluster, mount: Path, python: Path) -> dict[str, Any]:
    """The launcher's settings in that file, for this cluster."""
    settings = yaml.safe_load(cluster_file()["configs"]["launcher"]["content"])
    here = {"address": cluster.address, "mount": str(mount), "python": str(python), "environment": variables(python)}
    return settings | here


def variables(python: Path) -> dict[str, str]:
    """Of what runs on the cluster."""
    return {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", PYTHON_VARIABLE: str(python)}


def _command(service: str, here: dict[str, str]) -> list[str]:
    """Arguments of `ray` as the file has them, with what differs on loopback."""
    program, *given = cluster_file()["services"][service]["command"]
    assert program == "ray"
    line = "\n".join(given)
    for there, instead in here.items():
        assert there in line
        line = line.replace(there, instead)
    return line.split("\n")


def _last_words(folder: Path, address: str) -> str:
    """What the dashboard says now, and the ends of its logs."""
    try:
        said = requests.get(address, timeout=20)
        lines = [f"{said.status_code} {said.text[:500]}"]
    except requests.RequestException as error:
        lines = [repr(error)]
    for log in [folder / "head.log", *sorted(folder.glob("session_*/logs/*dashboard*"))]:
        if log.is_file() and not log.parents[1].is_symlink():
            lines.append(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}")
    return "\n".join(lines)


def _start(arguments: list[str], log: Path, store_bytes: int) -> subprocess.Popen:
    """A node that has started."""
    ports = (part for name in AGENTS for part in (f"--{name}-port", str(free_port())))
    memory = ("--object-store-memory", str(store_bytes))
    command = [sys.executable, str(Path(__file__).with_name("ray_start.py")), *arguments, *EVERYWHERE, *memory, *ports]
    with log.open("wb") as output:
        node = subprocess.Popen(
            command, env=os.environ | PATIENT, stdout=output, stderr=output, start_new_session=True,
            preexec_fn=end_with_parent,
        )  # fmt: skip
    try:
        _wait(lambda: STARTED in log.read_text() or node.poll() is not None, log.read_text)
        assert node.poll() is None, log.read_text()[-2000:]
    except BaseException:  # nobody else knows of it yet
        if node.poll() is None:
            kill_family(node)
        raise
    return node


def kill_family(process: subprocess.Popen) -> None:
    """A process and all below it at once, none of which can start another meanwhile."""
    root = psutil.Process(process.pid)
    for act in (psutil.Process.suspend, psutil.Process.kill):
        family = [root, *root.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                act(member)
    process.wait(timeout=PATIENCE)
    psutil.wait_procs(family, timeout=PATIENCE)


def _wait(condition, otherwise) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)
