"""As much of Kubernetes' API as Dagster's client asks for: a pod that is posted runs as a process of this machine."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import yaml

NAMESPACE = "ml"


class Pods(ThreadingHTTPServer):
    """`posted`: bodies of the pods that were asked for; `deleted`: their names; a deleted pod gets SIGTERM."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.posted: dict[str, dict] = {}
        self.deleted: list[str] = []
        self.processes: dict[str, subprocess.Popen] = {}

    def start(self, body: dict) -> None:
        name, container = body["metadata"]["name"], body["spec"]["containers"][0]
        variables = {entry["name"]: entry["value"] for entry in container["env"]}
        log = (self.folder / f"{name}.log").open("wb")
        environment = {"PATH": os.environ["PATH"], **variables}
        self.processes[name] = subprocess.Popen(
            container["command"], env=environment, cwd=container["workingDir"], stdout=log, stderr=log
        )
        self.posted[name] = body

    def pod(self, name: str) -> dict:
        """The pod with its status."""
        code = self.processes[name].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": abs(code)}}
        status = {
            "name": "training",
            "ready": code is None,
            "restartCount": 0,
            "image": "i",
            "imageID": "i",
            "state": state,
        }
        return {**self.posted[name], "status": {"phase": "Running", "containerStatuses": [status]}}


class _Handler(BaseHTTPRequestHandler):
    server: Pods

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.start(body)
        self._json(body)

    def do_DELETE(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        self.server.deleted.append(name)
        self.server.processes[name].terminate()
        self._json(self.server.pod(name))

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        if path.endswith("/pods"):
            self._json(
                {"kind": "PodList", "apiVersion": "v1", "items": [self.server.pod(name) for name in self.server.posted]}
            )
        elif path.endswith("/log"):
            self._follow(path.split("/")[-2])
        else:
            self._json({"kind": "EventList", "apiVersion": "v1", "items": []})

    def _follow(self, name: str) -> None:
        """The log to its end; each line with the time, as Kubernetes has it, where it is asked for."""
        process = self.server.processes[name]
        while "follow=True" in self.path and process.poll() is None:
            time.sleep(0.05)
        mark = "2026-01-01T00:00:00.000000Z " if "timestamps=True" in self.path else ""
        text = "".join(
            mark + line for line in (self.server.folder / f"{name}.log").read_text().splitlines(keepends=True)
        )
        self._send("text/plain", text.encode())

    def _json(self, value: dict) -> None:
        self._send("application/json", json.dumps(value).encode())

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def pods(folder: Path) -> Iterator[tuple[Pods, Path]]:
    """The server, and the kubeconfig that leads to it."""
    server = Pods(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": NAMESPACE}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    try:
        yield server, folder / "kubeconfig"
    finally:
        for process in server.processes.values():
            process.kill()
        server.shutdown()
        server.server_close()
