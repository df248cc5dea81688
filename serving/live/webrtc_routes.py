"""`POST /v1/realtime/webrtc`: an SDP offer in, an answer and the session's address out, as WHIP (RFC 9725) has it; `DELETE` of that address ends it."""

import asyncio
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


def add_webrtc(app: FastAPI, engine: LiveEngine, metrics: LiveMetrics, folder: Path) -> None:
    """Add both routes; without the extra the first says what to install."""
    sessions: dict[str, tuple[RtcConnection, asyncio.Task[None]]] = {}

    @app.post(PLACE, dependencies=[Depends(needs(Right.VIDEOS))], status_code=201)
    async def offer(request: Request) -> Response:
        """Begin a session: an SDP offer as `application/sdp`, or in JSON as `sdp` beside the fields of `session.start`."""
        if not webrtc_there():
            return refusal(501, REMEDY)
        from serving.live.webrtc import RtcConnection

        state = request.scope.get("state", {})
        caller = request.client.host if request.client else ""
        try:
            given = await read_offer(request, engine.settings)
            local = local_address(request, engine.settings)
            session = RtcConnection(engine, metrics, folder, state, caller, given, local)
            task = asyncio.create_task(session.serve())
            sessions[session.name] = (session, task)
            task.add_done_callback(lambda _: sessions.pop(session.name, None))
            answer = await session.answer
        except LiveError as error:
            return refusal(STATUS[error.code], str(error), {"Retry-After": "5"} if error.code == FULL else None)
        return Response(answer, 201, {"Location": f"{PLACE}/{session.name}"}, media_type=SDP)

    @app.delete(f"{PLACE}/{{name}}", dependencies=[Depends(needs(Right.VIDEOS))])
    async def end(name: str, request: Request) -> dict[str, Any]:
        """End a session within one latent; 404 for one that is over, or another client's."""
        caller = request.client.host if request.client else ""
        session, task = sessions.get(name, (None, None))
        if session is None or task is None or session.client != request.scope.get("state", {}).get("client", caller):
            raise HTTPException(404, f"no session {name}")
        if session.session is not None:
            session.session.control("session.stop")
            await asyncio.wait({task}, timeout=END_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return {"id": name, "object": "realtime.session.deleted", "deleted": True}
