"""`POST /v1/realtime/webrtc`: an SDP offer in, an answer and the session's address out, as WHIP (RFC 9725) has it; `DELETE` of that address ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from serving.http.clients import needs
from serving.http.keys import Right
from serving.http.refusals import refusal
from serving.live.engine import LiveEngine
from serving.live.metrics import LiveMetrics
from serving.live.offer import SDP, local_address, read_offer
from serving.live.settings import BAD_DATA, FAULT, FULL, NOT_ALLOWED, TIMED_OUT, TOO_LARGE, UNSUPPORTED, LiveError

if TYPE_CHECKING:
    from serving.live.webrtc import RtcConnection

PLACE = "/v1/realtime/webrtc"
REMEDY = "WebRTC needs the extra `webrtc`: pip install -c constraints.txt -e '.[webrtc]'"
STATUS = {UNSUPPORTED: 415, BAD_DATA: 422, NOT_ALLOWED: 403, TOO_LARGE: 413, FAULT: 500, FULL: 503, TIMED_OUT: 408}
END_SECONDS = 5.0  # for a session to end in order; a latent and the last message take less


def webrtc_there() -> bool:
    """Whether the extra is installed."""
    return find_spec("aiortc") is not None


class RtcSessions:
    """Those under way, by name. No request holds them, so whoever runs the server ends them."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[RtcConnection, asyncio.Task[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, session: "RtcConnection") -> None:
        """Serve it from now on."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(session.serve())
        self._running[session.name] = (session, task)
        task.add_done_callback(lambda _: self._running.pop(session.name, None))

    async def end(self, name: str, client: str) -> bool:
        """End one within a latent; False where this client has none of that name."""
        session, task = self._running.get(name, (None, None))
        if session is None or task is None or session.client != client:
            return False
        if session.stop():
            await asyncio.wait({task}, timeout=END_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return True

    async def end_all(self) -> None:
        """At once. A loop that ends cancels them together with aiortc's own tasks, and then a peer does not close."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def end_all_from_outside(self) -> None:
        """The same from another thread than the server's."""
        if self._loop is not None and self._loop.is_running():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self.end_all(), self._loop).result(END_SECONDS)


def add_webrtc(app: FastAPI, engine: LiveEngine, metrics: LiveMetrics, folder: Path) -> RtcSessions:
    """Add both routes; without the extra the first says what to install. The sessions end with an app that has not begun yet."""
    sessions = RtcSessions()
    _end_with(app, sessions)

    @app.post(PLACE, dependencies=[Depends(needs(Right.VIDEOS))], status_code=201)
    async def offer(request: Request) -> Response:
        """Begin a session: an SDP offer as `application/sdp`, or in JSON as `sdp` beside the fields of `session.start`."""
        if not webrtc_there():
            return refusal(501, REMEDY)
        from serving.live.webrtc import RtcConnection

        state = request.scope.get("state", {})
        try:
            given = await read_offer(request, engine.settings)
            local = local_address(request, engine.settings)
            session = RtcConnection(engine, metrics, folder, state, _address(request), given, local)
            sessions.begin(session)
            answer = await session.answer
        except LiveError as error:
            return refusal(STATUS[error.code], str(error), {"Retry-After": "5"} if error.code == FULL else None)
        return Response(answer, 201, {"Location": f"{PLACE}/{session.name}"}, media_type=SDP)

    @app.delete(f"{PLACE}/{{name}}", dependencies=[Depends(needs(Right.VIDEOS))])
    async def end(name: str, request: Request) -> dict[str, Any]:
        """End a session within one latent; 404 for one that is over, or another client's."""
        client = request.scope.get("state", {}).get("client", _address(request))
        if not await sessions.end(name, client):
            raise HTTPException(404, f"no session {name}")
        return {"id": name, "object": "realtime.session.deleted", "deleted": True}

    return sessions


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _end_with(app: FastAPI, sessions: RtcSessions) -> None:
    given = app.router.lifespan_context

    @asynccontextmanager
    async def life(app: Any) -> AsyncIterator[Any]:
        async with given(app) as state:
            try:
                yield state
            finally:
                await sessions.end_all()

    app.router.lifespan_context = life
