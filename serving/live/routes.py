"""`WS /v1/realtime/video`: the socket of a live session, WebRTC beside it, and the finished videos of those that kept theirs."""

import re
from pathlib import Path

from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse, HTMLResponse

from media.pages import render
from serving.http.clients import needs
from serving.http.keys import Right
from serving.live.engine import LiveEngine
from serving.live.finished import forget_old, own_folder
from serving.live.metrics import LiveMetrics
from serving.live.web_socket import SocketConnection
from serving.live.webrtc_routes import PLACE as RTC_PLACE
from serving.live.webrtc_routes import RtcSessions, add_webrtc, webrtc_there

PLACE, PAGE = "/v1/realtime/video", "/live"
LIVE_VIDEOS = "live_videos"  # below var/: finished videos of sessions that kept theirs


def add_live(app: FastAPI, engine: LiveEngine, metrics: LiveMetrics, folder: Path) -> RtcSessions:
    """Add the socket, WebRTC, a page that speaks to both, and `GET` for kept videos, which lie in `folder`; returns what runs over WebRTC."""
    forget_old(folder, engine.settings)
    sessions = add_webrtc(app, engine, metrics, folder)

    @app.websocket(PLACE)
    async def live(socket: WebSocket) -> None:
        await SocketConnection(socket, engine, metrics, folder).serve()

    @app.get(PAGE, include_in_schema=False)
    def page() -> HTMLResponse:
        """A page to try it on."""
        lead = (1 + engine.streaming.lookahead) / engine.model.pipeline.config.fps
        there = webrtc_there()
        return HTMLResponse(
            render("serving", "live.html", lead=f"{lead:.2f}", place=PLACE, rtc_place=RTC_PLACE, webrtc=there)
        )

    @app.get(f"{PLACE}/{{name}}/content", dependencies=[Depends(needs(Right.VIDEOS))])
    def content(name: str, request: Request) -> FileResponse:
        """A finished video, signed; 404 for what is not there (any more), or is another key's."""
        forget_old(folder, engine.settings)
        path = own_folder(folder, request.scope.get("state", {})) / f"{name}.mp4"
        if not re.fullmatch(r"live-[0-9a-f]{32}", name) or not path.is_file():
            raise HTTPException(404, f"no video {name}")
        return FileResponse(path, media_type="video/mp4", filename=path.name)

    return sessions
