"""Who asks the video server: by key, where the operator gave some, else by address; what he may do, and how much at a time."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.keys import ClientKey, Keys, Right, digest
from serving.http.refusals import refusal

OPEN = ("/health", "/ready")  # for probes, which know no key
WEBHOOK = "/webhooks/mlflow"  # its sender signs the body, and has no key
HOUR = 3600.0


class Clients:
    """Tell the app who asks (`request.state.client`, and his `key` or None); 401 without a key (403 for a websocket), 429 for too much at once.

    Args:
        app: what answers.
        keys: of `read_keys`; None asks for none.
        sending: requests with a body that one client may have open.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None, sending: int):
        self.app, self.sending = app, sending
        # Looked up by digest: how long that takes says nothing of the key.
        self._names = None if keys is None else {key.sha256: (name, key) for name, key in keys.items()}
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        found = self._who(scope)
        if found is None and scope["type"] == "websocket":
            # As `serving.http.same_origin` refuses: before it is accepted this is a 403.
            return await send({"type": "websocket.close", "code": 1008, "reason": "send `Authorization: Bearer KEY`"})
        if found is None and scope["path"] not in (*OPEN, WEBHOOK):
            told = refusal(401, "send `Authorization: Bearer KEY`", {"WWW-Authenticate": "Bearer"})
            return await told(scope, receive, send)
        client, key = found or ("", None)
        scope.setdefault("state", {}).update(client=client, key=key)
        if scope.get("method") != "POST":
            return await self.app(scope, receive, send)
        if self._open[client] >= self.sending:
            why = f"{self.sending} requests of yours are coming in already; send them one after another"
            return await refusal(429, why, {"Retry-After": "5"})(scope, receive, send)
        self._open[client] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[client] -= 1
            self._open += Counter()  # forgets who has none open

    def _who(self, scope: Scope) -> tuple[str, ClientKey | None] | None:
        if self._names is None:
            return (scope["client"][0] if scope.get("client") else ""), None
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        return self._names.get(digest(key.strip())) if scheme.lower() == "bearer" else None


def needs(right: Right, local: bool = True) -> Callable[[Request], None]:
    """A route's dependency: 403 for a key without the right, and, unless `local`, for whoever has none."""

    def check(request: Request) -> None:
        key: ClientKey | None = getattr(request.state, "key", None)  # the page asks for none
        if key is None and not local:
            raise HTTPException(403, f"here this takes a key with the right `{right}`; start the server with --keys")
        if key is not None and right not in key.rights:
            has = ", ".join(sorted(key.rights)) or "nothing"
            raise HTTPException(
                403, f"the key of {request.state.client} is for {has}, not for `{right}`; ask the operator for it"
            )

    return check


class HourlyLimit:
    """How many jobs each client asked for in the last hour, since the server started; deleting a job gives none back."""

    def __init__(self) -> None:
        self._asked: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, client: str, per_hour: int) -> float:
        """Count one job and return 0, or count none and return the seconds until one more may be asked for."""
        now, asked = time.monotonic(), self._asked[client]
        while asked and asked[0] <= now - HOUR:
            asked.popleft()
        if len(asked) >= per_hour:
            return max(asked[0] + HOUR - now, 1.0)
        asked.append(now)
        return 0.0
