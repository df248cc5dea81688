"""As much of Kubernetes' API as the launchers ask for: a pod that is posted runs as a process of this machine, a JobSet or TrainJob as one a node."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import yaml

NAMESPACE = "ml"


class Pods(ThreadingHTTPServer):
    """`posted`: bodies of the pods that were asked for; `deleted`: their names; a deleted pod gets SIGTERM."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.posted: dict[str, dict] = {}
        self.objects: dict[str, dict] = {}  # JobSets and TrainJobs by name
        self.known = {"jobsets", "trainjobs"}
        self.room = 99  # nodes; pods beyond them stay pending, as those of a scheduler that knows no gangs
        self.lost: set[str] = set()  # pods whose node was taken from them
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

    def start_nodes(self, body: dict) -> None:
        """What the controllers do: a pod a node, with the variables that a runtime of Kubeflow or the JobSet itself gives it."""
        name, spec = body["metadata"]["name"], body["spec"]
        self.objects[name] = body
        if body["kind"] == "TrainJob":
            container, nodes = dict(spec["trainer"]), spec["trainer"]["numNodes"]
            given = {"PET_NNODES": str(nodes), "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "29400"}
        else:
            job = spec["replicatedJobs"][0]["template"]["spec"]
            (container,), nodes, given = job["template"]["spec"]["containers"], job["completions"], {}
        for number in range(nodes):
            plain = [entry for entry in container["env"] if "value" in entry]
            numbered = {**given, "PET_NODE_RANK": str(number)}
            variables = [*plain, *({"name": key, "value": value} for key, value in numbered.items())]
            index = {"batch.kubernetes.io/job-completion-index": str(number)}
            meta = {"name": f"{name}-{number}", "labels": {"of": name}, "annotations": index}
            own = {"name": "node", "env": variables, "command": container["command"], "workingDir": str(self.folder)}
            pod = {"metadata": meta, "spec": {"containers": [own]}}
            if number < self.room:
                self.start(pod)
            else:
                self.posted[meta["name"]] = pod

    def pods_of(self, name: str) -> list[str]:
        """Names of an object's pods."""
        return [pod for pod, body in self.posted.items() if body["metadata"].get("labels", {}).get("of") == name]

    def object(self, name: str) -> dict:
        """A JobSet or TrainJob with its status."""
        codes = [self.processes[pod].poll() if pod in self.processes else None for pod in self.pods_of(name)]
        kind = "Failed" if any(codes) else "Complete" if codes and all(code == 0 for code in codes) else ""
        conditions = [{"type": kind, "status": "True"}] if kind else []
        return {**self.objects[name], "status": {"conditions": conditions}}

    def pod(self, name: str) -> dict:
        """The pod with its status."""
        if name not in self.processes:
            return {**self.posted[name], "status": {"phase": "Pending"}}
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
        taken = [{"type": "DisruptionTarget", "status": "True"}] if name in self.lost else []
        return {
            **self.posted[name],
            "status": {"phase": "Running", "containerStatuses": [status], "conditions": taken},
        }


class _Handler(BaseHTTPRequestHandler):
    server: Pods

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.path.rpartition("/")[2].partition("?")[0]
        if kind == "pods":
            self.server.start(body)
        elif kind in self.server.known:
            self.server.start_nodes(body)
        else:
            self._send("application/json", b"{}", 404)
            return
        self._json(body)

    def do_DELETE(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        self.server.deleted.append(name)
        if name in self.server.objects:
            for pod in set(self.server.pods_of(name)) & set(self.server.processes):
                self.server.processes[pod].terminate()
            self._json(self.server.object(name))
            return
        self.server.processes[name].terminate()
        self._json(self.server.pod(name))

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        if path.endswith("/pods"):
            of = parse_qs(urlparse(self.path).query).get("labelSelector", [""])[0].rpartition("jobset-name=")
            names = self.server.pods_of(of[2]) if of[1] else list(self.server.posted)
            self._json({"kind": "PodList", "apiVersion": "v1", "items": [self.server.pod(name) for name in names]})
        elif path.rpartition("/")[2] in self.server.objects:
            self._json(self.server.object(path.rpartition("/")[2]))
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

    def _send(self, kind: str, data: bytes, status: int = 200) -> None:
        self.send_response(status)
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
