"""An app on a port until somebody ends it: what the server of videos and that of votes share."""

import signal
import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from serving.request_limits import VisitorError


def listen(host: str, port: int) -> socket.socket:
    """A socket on `host`; port 0 takes a free one.

    Raises:
        VisitorError: the port cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise VisitorError(f"cannot listen on {host} port {port} ({error}); choose another --port") from error


def address(host: str, listening: socket.socket) -> str:
    """Where `listening`, which was opened on `host`, is found by a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def run_app(app: ASGIApp, listening: socket.socket, drain_seconds: int | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        app: what answers.
        listening: of `listen`.
        drain_seconds: for answers under way when the server ends; None waits for them.
    """
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=drain_seconds))
    # uvicorn shuts down in order, then raises the signal once more for the handler that was there before.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return 0
