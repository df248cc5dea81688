"""The compose files of deploy/ as Compose itself reads them, and their services on this machine: same commands, other hosts, ports and paths."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.deploy.servers import DEPLOY

ROOT = DEPLOY.parent
SECRETS = {"POSTGRES_PASSWORD": "postgres-secret", "S3_ACCESS_KEY": "access-secret", "S3_SECRET_KEY": "key-secret"}


def resolve(*files: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`docker-compose config`: parsed, interpolated and checked by Compose."""
    # The program itself: the package's own script answers 0 also where it failed.
    (package,) = find_spec("compose").submodule_search_locations
    names = [part for file in files for part in ("--file", str(DEPLOY / file))]
    command = [str(Path(package) / "docker-compose"), *names, "config", "--format", "json"]
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, timeout=60
    )


class Composed:
    """Services of compose files whose containers are processes of this machine.

    Args:
        root: folder in the place of their file systems, one for all; mounted files and configs are put there.
        ports: the port here of each port that a service listens on.
        files: of deploy/.
        also: what else every service has in its environment.
        programs: folders of programs that images have.
    """

    def __init__(
        self, root: Path, ports: Mapping[int, int], files: list[str], also: Mapping[str, str], programs: list[Path]
    ):
        found = resolve(*files, **SECRETS)
        assert found.returncode == 0, found.stderr
        whole = json.loads(found.stdout)
        self.services: dict[str, Any] = whole["services"]
        self._root = root
        path = ":".join(map(str, [Path(sys.executable).parent, *programs, os.environ["PATH"]]))
        self._also = {**also, "PATH": path}
        self._ports = {str(there): str(here) for there, here in ports.items()}
        self._is_port = re.compile(rf"\b({'|'.join(self._ports)})\b")
        names = "|".join(map(re.escape, self.services))
        self._is_host = re.compile(rf"^({names})$|(?<=[/@=])({names})(?=[:/])|^({names})(?=:)|\b0\.0\.0\.0\b")
        for service in self.services.values():
            for volume in service.get("volumes", []):
                if volume["type"] == "bind" and volume["target"].startswith(("/etc/", "/workspace/")):
                    self._put(volume["target"], Path(volume["source"]).read_text())
            for config in service.get("configs", []):
                self._put(config["target"], whole["configs"][config["source"]]["content"])

    def here(self, text: str) -> str:
        """A word of a command, a value of an environment, or a line of a file, with what differs on this machine."""
        text = self._is_port.sub(lambda port: self._ports[port[0]], self._is_host.sub("127.0.0.1", text))
        return re.sub(r"(?<![\w/.])/(?=(workspace|etc)(/|$))", f"{self._root}/", text)

    def command(self, name: str) -> list[str]:
        """What the service runs."""
        return self._words(self.services[name]["command"])

    def check(self, name: str) -> list[str]:
        """Its health check."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind in ("CMD", "CMD-SHELL")
        return self._words(words if kind == "CMD" else shlex.split(words[0]))

    def environment(self, name: str) -> dict[str, str]:
        """The image's variables and the service's."""
        own = image_variables() | self.services[name].get("environment", {})
        return os.environ | {key: self.here(value) for key, value in own.items()} | self._also

    @property
    def folder(self) -> Path:
        """The image's working folder."""
        return self._root / "workspace"

    def _words(self, command: list[str]) -> list[str]:
        program, *arguments = command  # a program may be called as a service is
        return [program, *map(self.here, arguments)]

    def _put(self, target: str, text: str) -> None:
        path = Path(self.here(target))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self._line(line) for line in text.splitlines()) + "\n")

    def _line(self, line: str) -> str:
        """Of YAML: its value is a word of its own."""
        key, colon, value = line.partition(": ")
        return f"{key}{colon}{self.here(value)}"


def image_variables() -> dict[str, str]:
    """`ENV` of deploy/Dockerfile."""
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", (DEPLOY / "Dockerfile").read_text(), flags=re.M)
    return dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())
