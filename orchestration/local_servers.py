"""Dagster's webserver and daemon, MLflow's server and the HTML reports on loopback, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from assets.core.addresses import DAGSTER_PORT, LOOPBACK, MLFLOW_PAGES, MLFLOW_PORT, REPORTS_PORT
from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from media.user_error import UserError
from tracking.mlflow_store import version_page

PATIENCE = 300.0  # seconds that a server gets to answer


class ServerError(UserError):
    """A server that does not come up; the message names its address."""


def serve(
    workspace: Workspace,
    dagster_port: int = DAGSTER_PORT,
    mlflow_port: int = MLFLOW_PORT,
    reports_port: int = REPORTS_PORT,
) -> int:
    """Print the addresses, start all of them, say which answers, wait; returns the exit code of the first that stops."""
    wanted = {"Dagster": dagster_port, "MLflow": mlflow_port, "reports": reports_port}
    ports = {name: _free(port) for name, port in wanted.items()}
    for name, port in wanted.items():
        if ports[name] != port:
            print(
                f"{name}: port {port} is taken, perhaps by another `omnihuman ui`; this one is at {ports[name]}",
                flush=True,
            )
    addresses = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    for line in where_to_look(addresses):
        print(line, flush=True)  # before anything slow
    processes: dict[str, subprocess.Popen] = {}
    # `kill` ends the servers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _make_stores(workspace)
        champion = workspace.registry.at_alias(STUDENT)
        if champion is not None:
            print(_line("  the champion", version_page(addresses["MLflow"], STUDENT, champion.version)), flush=True)
        _start(workspace, ports, addresses, processes)
        for name in ("reports", "MLflow", "Dagster"):
            _wait(addresses[name], processes)
            print(f"{name} ready", flush=True)
        print(f"logs in {workspace.logs}; Ctrl-C stops them", flush=True)
        while all(process.poll() is None for process in processes.values()):
            time.sleep(0.5)
        for name, process in processes.items():
            if process.poll() is not None:
                print(
                    f"{name} ended with exit code {process.returncode}; see {workspace.logs / (name + '.log')}",
                    file=sys.stderr,
                )
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _end(processes)


def where_to_look(addresses: Mapping[str, str]) -> Iterator[str]:
    """What to open, before anything of it answers."""
    yield "starting; each answers as soon as it says ready, Dagster last, after a minute or so"
    dagster, mlflow = addresses["Dagster"], addresses["MLflow"]
    for name, address in (
        ("Dagster", dagster),
        ("  assets by group", f"{dagster}/asset-groups"),
        ("  runs", f"{dagster}/runs"),
        ("MLflow", mlflow),
        ("  experiments", f"{mlflow}/#/experiments"),
        ("  versions", f"{mlflow}/#/models/{STUDENT}"),
        ("reports", addresses["reports"]),
    ):
        yield _line(name, address)


def _line(name: str, address: str) -> str:
    return f"{name:<18} {address}"


def _make_stores(workspace: Workspace) -> None:
    """Before any process uses them: several that make one database at once destroy it."""
    from orchestration.dagster_location.instance import open_instance

    open_instance(workspace).dispose()
    workspace.tracker.ensure()


def _start(
    workspace: Workspace,
    ports: Mapping[str, int],
    addresses: Mapping[str, str],
    processes: dict[str, subprocess.Popen],
) -> None:
    workspace.logs.mkdir(parents=True, exist_ok=True)
    artifacts = str(workspace.var / "mlartifacts")
    stores = ["--store", workspace.tracking_uri, "--artifacts", artifacts]
    commands = {
        "reports": ["orchestration.report_server", str(workspace.reports), "--port", str(ports["reports"])],
        "mlflow": ["orchestration.mlflow_server", "--port", str(ports["MLflow"]), *stores],
        "dagster-webserver": ["orchestration.dagster_server", "--port", str(ports["Dagster"])],
        "dagster-daemon": ["dagster._daemon", "run", "-m", "orchestration.definitions"],
    }
    environment = _environment() | {MLFLOW_PAGES: addresses["MLflow"]}
    for name, command in commands.items():
        log = open(workspace.logs / f"{name}.log", "ab")
        processes[name] = subprocess.Popen(
            [sys.executable, "-m", "orchestration.with_parent", *command],
            cwd=workspace.root,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def _end(processes: Mapping[str, subprocess.Popen]) -> None:
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
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")]))}


def _wait(address: str, processes: Mapping[str, subprocess.Popen]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes.values()):
            return
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise ServerError(f"{address} does not answer after {PATIENCE:.0f} s; its log in var/logs says why")


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
