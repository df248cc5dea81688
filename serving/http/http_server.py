"""An app on a port until somebody ends it: what all servers of the project share."""

import argparse
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from assets.core.addresses import LOOPBACK, LOOPBACK_NAMES
from serving.http.request_limits import VisitorError
from serving.http.same_origin import SameOrigin

DRAIN_SECONDS = 5  # for answers under way when a server of pages ends


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

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # For a signal that comes before uvicorn listens for it. It shuts down in order, then raises the signal once more for this handler.
    signal.signal(signal.SIGTERM, end)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return 0


def page_arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser of what every server of pages is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default=LOOPBACK, help="address to serve on (default %(default)s)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that browsers and other servers may call this one, beside this machine's own; repeat it for several",
    )
    return parser


def run_pages(app: ASGIApp, given: argparse.Namespace) -> int:
    """Serve an app to pages of itself alone, as `page_arguments` says, until SIGTERM or Ctrl-C."""
    guarded = SameOrigin(app, (*LOOPBACK_NAMES, *given.allow_host))
    return run_app(guarded, listen(given.host, given.port), DRAIN_SECONDS)
