"""A process that has imported everything once, and forks a real process for each one that is asked for.

`python -m training.run.fork_server SOCKET MODULE...` imports the modules and listens on the inherited socket until its standard
input ends, which its owner holds open: so it never outlives whoever started it. A forked process leads a session of its own, has the
environment, folder and output that were asked for, runs one function, and ends as Python processes do, but for taking the interpreter apart.

Only the main thread may exist when it forks, and nothing may have been computed: thread pools and devices do not survive a fork.
"""

import atexit
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from media.user_error import UserError


class ForkServerError(UserError, RuntimeError):
    """The fork server ended, or cannot fork in safety; what it printed says why, and `OMNIHUMAN_WARM=0` does without it."""


@dataclass(frozen=True)
class Request:
    """What a forked process runs: `function` is "module:name", called with `arguments`; what it returns is the exit code."""

    function: str
    arguments: list[Any]
    environment: dict[str, str]
    folder: str

    def run(self) -> object:
        """Call the function."""
        return resolve(self.function)(*self.arguments)


def resolve(function: str) -> Callable[..., object]:
    """The function that "module:name" names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


class ForkServer:
    """The server's loop. In a forked process `serve` returns the request, so that it runs on a stack of its own."""

    def __init__(self, listener: socket.socket, lifeline: BinaryIO, given: Mapping[str, str]):
        """`given`: the environment before anything was imported."""
        self.listener, self.lifeline, self.given = listener, lifeline, given
        self.waiting: dict[int, socket.socket] = {}  # who waits for which process
        self.woken, self.waker = socket.socketpair()
        for end in (self.woken, self.waker):
            end.setblocking(False)

    def serve(self) -> Request | None:
        """Fork until the lifeline ends and every forked process has; None then.

        Raises:
            ForkServerError: something imported has started a thread.
        """
        if threading.active_count() > 1:
            names = [thread.name for thread in threading.enumerate()]
            raise ForkServerError(f"an import started threads, which a fork would lose: {names}")
        gc.collect()
        gc.freeze()  # a collection in a forked process would copy every page that holds an object
        gc.enable()
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # wakes the selector
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        for source in (self.listener, self.lifeline, self.woken):
            selector.register(source, selectors.EVENT_READ)
        open_ = True
        while open_ or self.waiting:
            for key, _ in selector.select():
                if key.fileobj is self.listener:
                    request = self._accept(selector)
                    if request is not None:
                        return request
                elif key.fileobj is self.woken:
                    self.woken.recv(4096)
                    self._reap()
                else:
                    open_ = False
                    selector.unregister(self.lifeline)
                    selector.unregister(self.listener)
        return None

    def _accept(self, selector: selectors.BaseSelector) -> Request | None:
        """Fork for one connection: in the new process its request, in the server None."""
        connection, _ = self.listener.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        if len(descriptors) < 3:  # whoever connected is gone again
            connection.close()
            return None
        pid = os.fork()
        if pid:
            for descriptor in descriptors:
                os.close(descriptor)
            self.waiting[pid] = connection
            connection.sendall(f"{pid}\n".encode())
            return None
        signal.set_wakeup_fd(-1)
        selector.close()
        for inherited in (self.listener, self.woken, self.waker, connection, *self.waiting.values()):
            inherited.close()
        return _begin(self.given, *descriptors)

    def _reap(self) -> None:
        while self.waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self.waiting.pop(pid)
            with suppress(BrokenPipeError):  # whoever asked may have gone
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            connection.close()


def _begin(given: Mapping[str, str], request_file: int, output: int, errors: int) -> Request:
    """Make of a copy of the server what a process fresh from the shell would be, and read what it is to run."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
        os.close(source)
    with os.fdopen(request_file, "rb") as file:
        file.seek(0)
        request = Request(**json.load(file))
    environment = with_imports(request.environment, given, dict(os.environ))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(request.folder)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    return request


def with_imports(asked: Mapping[str, str], given: Mapping[str, str], imported: Mapping[str, str]) -> dict[str, str]:
    """The environment of a forked process, with what imports say in it: it makes none of them again.

    Args:
        asked: that of the request.
        given, imported: the server's, before and after its imports. What they changed is taken where the request says what the server was
            given: there an import of its own would have said the same. Where it says something else, that stays, as with `setdefault`.
    """
    environment = dict(asked)
    for name in {*given, *imported}:
        if asked.get(name) == given.get(name) != imported.get(name):
            if name in imported:
                environment[name] = imported[name]
            else:
                environment.pop(name, None)
    return environment


def run_to_the_end(function: Callable[[], object]) -> NoReturn:
    """Call it and end as `sys.exit` ends with what it returns: threads waited for, exit handlers run, output flushed.

    Python would then free all that the server has imported, and so copy the 435 MiB that this process shares with it: 0.8 CPU seconds for nothing.
    """
    try:
        code = function()
    except SystemExit as ended:
        code = ended.code
    except Exception:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter itself calls first
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads any more, or it is closed
            stream.flush()
    os._exit(int(code or 0) & 0xFF)


def main() -> int:
    """Import, serve, and in a forked process run what was asked for."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # what is imported stays; to look through it again and again takes a fifth of the time
    given = dict(os.environ)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    request = ForkServer(listener, sys.stdin.buffer, given).serve()
    if request is None:
        return 0
    run_to_the_end(request.run)


if __name__ == "__main__":
    sys.exit(main())
