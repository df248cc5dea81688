"""Dagster's webserver and daemon, MLflow's server and the HTML reports on loopback, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from assets.core.addresses import DAGSTER_PORT, LOOPBACK, MLFLOW_PAGES, MLFLOW_PORT, REPORT_PAGES, REPORTS_PORT
from assets.core.workspace import Workspace
from media.user_error import UserError
from orchestration.dagster_location.instance import open_instance
from tracking.mlflow_store import server_command


class ServerError(UserError):
    """A server that does not come up; the message names its address."""


def serve(
    workspace: Workspace,
    dagster_port: int = DAGSTER_PORT,
    mlflow_port: int = MLFLOW_PORT,
    reports_port: int = REPORTS_PORT,
) -> int:
    """Start all of them, print their addresses once they answer, wait; returns the exit code of the first that stops."""
    open_instance(workspace).dispose()
    workspace.tracker.ensure()
    dagster_port, mlflow_port, reports_port = _free(dagster_port), _free(mlflow_port), _free(reports_port)
    ports = {"Dagster": dagster_port, "MLflow": mlflow_port, "reports": reports_port}
    addresses = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    logs = workspace.logs
    logs.mkdir(parents=True, exist_ok=True)
    module = ["-m", "orchestration.definitions"]
    commands = {
        "dagster-webserver": [
            sys.executable,
            "-m",
            "dagster_webserver",
            "-h",
            LOOPBACK,
            "-p",
            str(dagster_port),
            *module,
        ],
        "dagster-daemon": [sys.executable, "-m", "dagster._daemon", "run", *module],
        "mlflow": server_command(workspace.tracking_uri, LOOPBACK, mlflow_port, workspace.var / "mlartifacts"),
        "reports": [sys.executable, "-m", "orchestration.report_server", str(workspace.reports), str(reports_port)],
    }
    processes: dict[str, subprocess.Popen] = {}
    # `kill` ends the servers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name, command in commands.items():
            log = open(logs / f"{name}.log", "ab")
            environment = _environment() | {MLFLOW_PAGES: addresses["MLflow"], REPORT_PAGES: addresses["reports"]}
            processes[name] = subprocess.Popen(
                command, cwd=workspace.root, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        for name, address in addresses.items():
            _wait(address, processes)
            print(f"{name:<8} {address}", flush=True)
        print(f"logs in {logs}; Ctrl-C stops them", flush=True)
        while all(process.poll() is None for process in processes.values()):
            time.sleep(0.5)
        for name, process in processes.items():
            if process.poll() is not None:
                print(
                    f"{name} ended with exit code {process.returncode}; see {logs / (name + '.log')}", file=sys.stderr
                )
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _environment() -> dict[str, str]:
    """This process's, with the project's folder importable also where it is not installed: the root may be elsewhere."""
    project = str(Path(__file__).resolve().parent.parent)
    search = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")]))
    # MLflow would start seven more processes for background jobs, which nothing here uses.
    return {**os.environ, "PYTHONPATH": search, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _wait(address: str, processes: dict[str, subprocess.Popen], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes.values()):
            return
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise ServerError(f"{address} does not answer after {seconds:.0f} s; its log in var/logs says why")


def _free(port: int) -> int:
    """`port`, or a free one where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            probe.close()
            with socket.socket() as other:
                other.bind((LOOPBACK, 0))
                return other.getsockname()[1]
        return port
