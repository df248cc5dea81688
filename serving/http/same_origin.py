"""Who may ask a server that a browser reaches: pages of the server itself, never pages of somebody else.

A browser sends any page's requests to any address, this machine's too. It says in `Host` which name it looked up, in `Origin` and
`Sec-Fetch-Site` whose page asks (Fetch standard, 3.2 and Fetch Metadata); programs that are no browsers send neither of the last two.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from assets.core.addresses import LOOPBACK_NAMES
from serving.http.refusals import refusal

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class SameOrigin:
    """Refuse requests of foreign hosts (400) and of foreign pages (403), and websockets of both (403), before the app sees them.

    Args:
        app: what answers the others.
        hosts: names that a browser may call the server, at any port; None takes every name.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None = LOOPBACK_NAMES):
        self.app = app
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        status, why = self._refusal(Headers(scope=scope), scope.get("method"))
        if not status:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            # Before it is accepted this is a 403; with words, uvicorn 0.54 logs an error too.
            return await send({"type": "websocket.close", "code": 1008, "reason": why})
        await refusal(status, why)(scope, receive, send)

    def _refusal(self, headers: Headers, method: str | None) -> tuple[int, str]:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not host or (self.hosts is not None and _name(host) not in self.hosts):
            return 400, f"this server is not called {', '.join(hosts) or 'nothing'}; use the address that it printed"
        for origin in origins:
            if not _same(origin, host):
                return 403, f"a page of {origin} may not ask {host}; only pages of {host} itself may"
        # Pictures, frames and scripts of a foreign page come without an Origin (a websocket never does, and browsers differ in what
        # else it says); a link that somebody follows may lead here.
        followed = method in ("GET", "HEAD") and headers.get("sec-fetch-dest") == "document"
        if method and headers.get("sec-fetch-site") in ("cross-site", "same-site") and not followed:
            return 403, f"a page of another address may not load things of {host}; only links may lead here"
        return 0, ""


def _name(host: str) -> str:
    """A Host without its port."""
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _same(origin: str, host: str) -> bool:
    """Whether an Origin is of the address that was asked, whatever encrypts the way."""
    try:
        parts = urlsplit(origin.lower())
        asked = urlsplit(f"{parts.scheme}://{host}")
        port = DEFAULT_PORTS.get(parts.scheme)
        return bool(port and parts.hostname) and (parts.hostname, parts.port or port) == (
            asked.hostname,
            asked.port or port,
        )
    except ValueError:
        return False
