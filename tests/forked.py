"""Processes that tests start, without their imports: one server per test session has made them, and forks a process for each.

`run` and `ForkedPopen` take what `subprocess` takes, for `[sys.executable, ...]` with `-m module`, `-c code` or a script. What is started is
a real process. The session's workers are such processes too. A test that is about how a process starts, or about other code than this, uses `subprocess` itself.
"""

import importlib.util
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.forked_worker import ADDRESS_VARIABLE
from training.run.forked import ForkedProcess, fork, start_server
from training.run.warm import MODULES, WARM_VARIABLE, start_warm

ROOT = Path(__file__).resolve().parents[1]
PYTHON_VARIABLE = "OMNIHUMAN_TEST_PYTHON"  # what forked processes start as Python
# Beside what trainings import: what commands do. Nothing of this reads the workspace's variables when it is imported.
IMPORTED = (
    *MODULES,
    "typer",
    "rich.console",
    "dagster",
    "dvc.repo",
    "omnihuman.pipeline",
    "curation.scores.table",
    "tests.keys_read",
    "tests.migrated_mlflow",
)
# Of others' modules, what listing the tests imports beside these.
LISTED = (
    "boto3", "dagster_k8s", "dagster_postgres", "dagster_ray", "google.protobuf.message", "hydra", "kubernetes.client",
    "moto.server", "onnx", "peft", "prometheus_client", "pytest", "s3fs", "scipy.optimize", "scipy.signal", "scipy.stats",
    "uvicorn", "websockets", "xdist.remote",
)  # fmt: skip


def listed() -> tuple[str, ...]:
    """What workers share: of `LISTED` what is installed, for tests of absent packages are skipped."""
    return (*IMPORTED, *(name for name in LISTED if importlib.util.find_spec(name.partition(".")[0])))


class ServerOnDemand:
    """Listens for the whole session, and starts the server when a test first asks; ends it with the session.

    Args:
        imported: modules that all its processes share.
    """

    def __init__(self, imported: tuple[str, ...] = IMPORTED) -> None:
        self.imported = imported
        self.folder = tempfile.TemporaryDirectory(prefix="omnihuman-tests-")
        address = Path(self.folder.name) / "socket"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(address))
        self.listener.listen(64)
        self.ending, self.end = socket.socketpair()
        self.server: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._await, daemon=True)
        self.thread.start()
        os.environ[ADDRESS_VARIABLE] = str(address)
        os.environ[WARM_VARIABLE] = str(
            address
        )  # what the product launches in tests is forked too, unless a test says otherwise

    def _await(self) -> None:
        ready, _, _ = select.select([self.listener, self.ending], [], [])
        if self.ending not in ready:
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
            self.server = start_server(self.listener, self.imported, os.environ | {"PYTHONPATH": path})

    def close(self) -> None:
        """End the server, if there is one, and what it left running."""
        self.end.close()
        self.thread.join()
        self.listener.close()
        if self.server is not None:
            assert self.server.stdin is not None
            self.server.stdin.close()
            try:
                self.server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.server.kill()
        self.folder.cleanup()


def address() -> Path:
    """Of the session's server."""
    return Path(os.environ[ADDRESS_VARIABLE])


class ForkedPopen(subprocess.Popen):
    """`subprocess.Popen` whose process is forked by the session's server; it always leads a session of its own."""

    def __init__(self, args: list[Any], **options: Any):
        self.forked: ForkedProcess | None = None
        super().__init__([str(part) for part in args], **options)

    def _ask(self, cwd: Any, env: dict[str, str], output: int, errors: int) -> ForkedProcess:
        assert self.args[0] == sys.executable, "only this interpreter's processes can be forked"
        return fork(address(), f"{__name__}:python", self.args[1:], env, cwd, output, errors)

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *rest,
    ):  # fmt: skip
        try:
            environment = dict(os.environ if env is None else env)
            output, errors = (given if given != -1 else own for given, own in ((c2pwrite, 1), (errwrite, 2)))
            self.forked = self._ask(os.getcwd() if cwd is None else cwd, environment, output, errors)
            self.pid = self.forked.pid
            self._child_created = True
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _internal_poll(self, *of: Any, **more: Any) -> int | None:
        if self.returncode is None and self.forked is not None:
            self.returncode = self.forked.poll()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            self.returncode = self.forked.wait(timeout)
        return self.returncode


class WarmTraining(ForkedPopen):
    """A training started as the product starts it warm; `args` are the job file and the number of ranks."""

    def _ask(self, cwd: Any, env: dict[str, str], output: int, errors: int) -> ForkedProcess:
        job, ranks = self.args
        return start_warm(address(), Path(job), env, Path(cwd), int(ranks), output)


def run(
    command: list[Any], check: bool = False, capture_output: bool = False, timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess:
    """`subprocess.run`, forked."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ForkedPopen(command, **options) as process:
        output, errors = process.communicate(timeout=timeout)
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def interpreter(folder: Path, instead: Mapping[str, str] | None = None) -> Path:
    """A `python` whose processes the session's server forks, in an empty environment too: for what a launcher starts, where the test is not about
    the start itself. `instead` of some modules and scripts it runs others."""
    lines = [f"*{name}) argument={other};;" for name, other in (instead or {}).items()]
    folder.mkdir(exist_ok=True)
    path = folder / "python"
    path.write_text(
        f"#!/bin/sh\nexport {PYTHON_VARIABLE}={path} {ADDRESS_VARIABLE}={address()}\nfor argument; do\n  shift\n"
        f'  case "$argument" in {" ".join(lines)} esac\n'
        '  set -- "$@" "$argument"\ndone\n'
        f'exec {sys.executable} {ROOT / "tests" / "forked_worker.py"} "$@"\n'
    )
    path.chmod(0o755)
    return path


def launched(command: list[str], folder: Path) -> list[str]:
    """A launcher's command whose processes are forked, but for the first, the supervisor: it imports next to nothing, and whoever started it looks
    at its children. `folder` is for their interpreter."""
    python = str(interpreter(folder))
    return [command[0], *(python if part == sys.executable else part for part in command[1:])]


def worker(starter: int, *arguments: str) -> None:
    """In the forked process: what `python ARGUMENTS` does, with the input of the process `starter`, and no longer than that lives."""
    read = os.open(f"/proc/{starter}/fd/0", os.O_RDONLY)
    os.dup2(read, 0)
    os.close(read)
    threading.Thread(target=_end_with, args=(os.pidfd_open(starter),), daemon=True).start()
    sys.executable = os.environ.get(PYTHON_VARIABLE, sys.executable)
    python(*arguments)


def _end_with(starter: int) -> None:
    select.select([starter], [], [])
    os.kill(os.getpid(), signal.SIGKILL)


def python(*arguments: str) -> None:
    """In the forked process: what `python ARGUMENTS` does."""
    from tests import keys_read

    keys_read.record()
    rest = list(arguments)
    while rest[0] in ("-W", "-u"):
        if rest.pop(0) == "-W":
            warnings.simplefilter(rest.pop(0))  # type: ignore[arg-type]  # one of its words
    if rest[0] == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    elif rest[0] == "-c":
        sys.argv = ["-c", *rest[2:]]
        exec(compile(rest[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")
