"""The asking side of `training.run.fork_server`: start a server, ask for processes, wait for them as for any child."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from training.run.fork_server import ForkServerError

# What imports never look at: processes that differ in these alone are served by one server. All other variables must be
# as they were when it imported, for libraries read many of them once.
FREE_VARIABLES = ("DAGSTER_", "DVC_", "MLFLOW_", "OMNIHUMAN_", "PYTEST_", "AWS_", "OLDPWD", "PWD", "PYTHONPATH", "_")


class ForkedProcess:
    """A process that a fork server made for this one: the part of `subprocess.Popen` that a launcher needs.

    Attributes:
        pid: leads a session and process group of its own.
        args: the function and its arguments, for messages.
        stdout: the reading end of its output where a pipe was asked for.
        returncode: None while it runs; negative where a signal ended it.
    """

    def __init__(self, connection: socket.socket, args: list[Any], stdout: IO[bytes] | None = None):
        self._answers = connection.makefile("rb")
        self._connection, self._lock = connection, threading.Lock()
        self.args, self.stdout = args, stdout
        self.returncode: int | None = None
        self.pid = self._read()

    def _read(self) -> int:
        line = b""
        with suppress(ConnectionResetError):
            line = self._answers.readline()
        if not line:
            raise ForkServerError("the fork server has ended; what it printed last says why")
        return int(line)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
            ForkServerError: the server has ended, and nobody knows how the process did.
        """
        with self._lock:
            if self.returncode is None:
                if not _readable(self._connection, timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
                self.returncode = self._read()
                self._answers.close()
                self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to it, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _readable(connection: socket.socket, timeout: float | None) -> bool:
    import select

    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0.0, timeout * 1000)))


def fork(
    address: Path, function: str, arguments: Sequence[Any], environment: dict[str, str], folder: Path,
    stdout: int | None = None, stderr: int = subprocess.STDOUT,
) -> ForkedProcess:  # fmt: skip
    """Have the server that listens at `address` fork a process that runs `function` ("module:name") on `arguments`.

    Args:
        address: of the server's socket.
        function: what it runs; its return value is the exit code, as `sys.exit` takes it.
        arguments: anything that JSON holds.
        environment: the whole environment.
        folder: the working directory.
        stdout: None for this process's own, `subprocess.PIPE`, or a descriptor.
        stderr: `subprocess.STDOUT` or a descriptor.

    Raises:
        ForkServerError: no server listens there, or it has ended.
    """
    reading = None
    output = 1 if stdout is None else stdout
    if stdout == subprocess.PIPE:
        reading, output = os.pipe()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with tempfile.TemporaryFile() as request:
            asked = {"function": function, "arguments": list(arguments), "environment": environment}
            request.write(json.dumps(asked | {"folder": str(folder)}).encode())
            request.flush()
            connection.connect(str(address))
            errors = output if stderr == subprocess.STDOUT else stderr
            socket.send_fds(connection, [b"."], [request.fileno(), output, errors])
    except OSError as error:
        raise ForkServerError(f"no fork server answers at {address}: {error}") from error
    finally:
        if reading is not None:
            os.close(output)
    return ForkedProcess(connection, [function, *arguments], None if reading is None else os.fdopen(reading, "rb"))


class OwnForkServer:
    """A fork server that ends with this process, started with its environment; what it imports, it imports meanwhile."""

    def __init__(self, modules: Sequence[str], environment: dict[str, str]):
        self.imported_with = imported_with(environment)
        self._folder = Path(tempfile.mkdtemp(prefix="omnihuman-fork-"))  # nobody else may open what is in it
        self.address = self._folder / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.address))
            listener.listen(64)
            self.process = start_server(listener, modules, environment)

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether what was imported would be the same in this environment, and the server is there."""
        return self.imported_with == imported_with(environment) and self.process.poll() is None

    def close(self) -> None:
        """Let it end, after the processes that it has forked."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def start_server(
    listener: socket.socket, modules: Sequence[str], environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """The server's process; it ends when the writing end of its standard input is closed, by whatever end of this process."""
    command = [sys.executable, "-u", "-m", "training.run.fork_server", str(listener.fileno()), *modules]
    # Who asks says them, or else an import does: of pickles and telemetry.
    environment = {name: value for name, value in environment.items() if not name.startswith("MLFLOW_")}
    # A session of its own: Ctrl-C in a terminal reaches the processes that it forked through their launcher, and it not at all.
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True
    )


def imported_with(environment: dict[str, str]) -> dict[str, str]:
    """The variables that imports may have read."""
    return {name: value for name, value in environment.items() if not name.startswith(FREE_VARIABLES)}
