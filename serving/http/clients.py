"""Who asks the video server: by token, where the operator wrote some, else by address; and how much one of them may send at a time."""

import hashlib
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.request_limits import VisitorError

SHORTEST = 16  # characters of a token
OPEN = ("/health", "/ready")  # for probes, which know no token


def read_tokens(path: Path) -> dict[str, str]:
    """Names of clients by the SHA-256 of their token, out of a file of lines `NAME TOKEN`; `#` begins a comment.

    Raises:
        VisitorError: no such file, one that others can read, a line that is none, a token that is short or stands twice.
    """
    try:
        lines, mode = path.read_text().splitlines(), path.stat().st_mode
    except OSError as error:
        raise VisitorError(f"--tokens {path}: {error.strerror}; write a line `NAME TOKEN` for each client") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise VisitorError(f"--tokens {path} can be read by others than its owner; `chmod 600 {path}`")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or len(words[1]) < SHORTEST or _digest(words[1]) in found:
            raise VisitorError(
                f"--tokens {path}, line {number}: write `NAME TOKEN`, each token once and of {SHORTEST} characters or more "
                "(`openssl rand -hex 24`)"
            )
        found[_digest(words[1])] = words[0]
    if not found:
        raise VisitorError(f"--tokens {path} holds none; write a line `NAME TOKEN` for each client")
    return found


class Clients:
    """Tell the app who asks (`request.state.client`, and `known` where a token says it); 401 without a token, 429 for too much at once.

    Args:
        app: what answers.
        tokens: of `read_tokens`; None asks for none.
        sending: requests with a body that one client may have open.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str] | None, sending: int):
        self.app, self.tokens, self.sending = app, tokens, sending
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = self._name(scope)
        if name is None and scope["path"] not in OPEN:
            told = JSONResponse({"detail": "send `Authorization: Bearer TOKEN`"}, 401, {"WWW-Authenticate": "Bearer"})
            return await told(scope, receive, send)
        client = name or ""
        scope.setdefault("state", {}).update(client=client, known=self.tokens is not None)
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        if self._open[client] >= self.sending:
            why = f"{self.sending} requests of yours are coming in already; send them one after another"
            return await JSONResponse({"detail": why}, 429, {"Retry-After": "5"})(scope, receive, send)
        self._open[client] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[client] -= 1
            self._open += Counter()  # forgets who has none open

    def _name(self, scope: Scope) -> str | None:
        if self.tokens is None:
            return scope["client"][0] if scope.get("client") else ""
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        # Looked up by digest: how long that takes says nothing of the token.
        return self.tokens.get(_digest(token.strip())) if scheme.lower() == "bearer" else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
