"""`WS /v1/realtime/video`: the socket of a live session, and the finished videos of those that kept theirs."""

import asyncio
import json
import logging
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, HTMLResponse

from media.pages import render
from serving.http.clients import needs
from serving.http.keys import Right
from serving.live.engine import LiveEngine
from serving.live.finished import FinishedVideo, forget_old, own_folder
from serving.live.messages import CONTROLS, Start, read_base64, read_json, read_packet, read_start
from serving.live.metrics import LiveMetrics
from serving.live.session import LiveSession
from serving.live.settings import BAD_DATA, DONE, FAULT, NOT_ALLOWED, TIMED_OUT, LiveError

logger = logging.getLogger(__name__)
PLACE, PAGE = "/v1/realtime/video", "/live"
LIVE_VIDEOS = "live_videos"  # below var/: finished videos of sessions that kept theirs
REASON = 120  # bytes; a close frame holds 123


def add_live(app: FastAPI, engine: LiveEngine, metrics: LiveMetrics, folder: Path) -> None:
    """Add the socket, a page that speaks to it, and `GET` for kept videos, which lie in `folder`."""
    forget_old(folder, engine.settings)

    @app.websocket(PLACE)
    async def live(socket: WebSocket) -> None:
        await _Connection(socket, engine, metrics, folder).serve()

    @app.get(PAGE, include_in_schema=False)
    def page() -> HTMLResponse:
        """A page to try it on."""
        lead = (1 + engine.streaming.lookahead) / engine.model.pipeline.config.fps
        return HTMLResponse(render("serving", "live.html", lead=f"{lead:.2f}", place=PLACE))

    @app.get(f"{PLACE}/{{name}}/content", dependencies=[Depends(needs(Right.VIDEOS))])
    def content(name: str, request: Request) -> FileResponse:
        """A finished video, signed; 404 for what is not there (any more), or is another key's."""
        forget_old(folder, engine.settings)
        path = own_folder(folder, request.scope.get("state", {})) / f"{name}.mp4"
        if not re.fullmatch(r"live-[0-9a-f]{32}", name) or not path.is_file():
            raise HTTPException(404, f"no video {name}")
        return FileResponse(path, media_type="video/mp4", filename=path.name)


class _Connection:
    """One socket from its first message to its close code."""

    def __init__(self, socket: WebSocket, engine: LiveEngine, metrics: LiveMetrics, folder: Path):
        self.socket, self.engine, self.metrics, self.folder = socket, engine, metrics, folder
        self.name = f"live-{uuid.uuid4().hex}"
        self.session: LiveSession | None = None
        self._kept: FinishedVideo | None = None
        self._talking = asyncio.Lock()  # a piece follows the line that says what it is, whatever else is answered

    async def serve(self) -> None:
        """Accept, make, close; nothing is left behind, however it ends."""
        await self.socket.accept()
        code, reason = DONE, ""
        state = self.socket.scope.get("state", {})
        try:
            if (key := state.get("key")) is not None and Right.VIDEOS not in key.rights:
                raise LiveError(
                    NOT_ALLOWED, f"the key of {state['client']} is not for `{Right.VIDEOS}`; ask the operator for it"
                )
            address = self.socket.client.host if self.socket.client else ""  # where nobody is asked for a key: the page
            with self.engine.place(state.get("client", address)):
                await self._session()
        except LiveError as error:
            code, reason = error.code, str(error)
        except WebSocketDisconnect:
            code = 0
        except Exception:
            logger.exception("live session %s failed", self.name)
            code, reason = FAULT, "the server could not go on; its log says why"
        finally:
            self.metrics.ended(code, None if self.session is None else self.session.numbers)
            if self._kept is not None:
                self._kept.forget()
        if code:
            await self._close(code, reason)
        await asyncio.to_thread(forget_old, self.folder, self.engine.settings)

    async def _session(self) -> None:
        start = await self._first()
        opened = await self.engine.run(self.engine.opened, start)
        if start.keep:
            self._kept = FinishedVideo(own_folder(self.folder, self.socket.scope.get("state", {})), self.name)
        keep = None if self._kept is None else self._kept.add
        session = LiveSession(self.engine, start, opened, self._longest(), keep)
        self.session = session
        said = {"type": "video.start", "request_id": self.name, "format": start.format, "config": session.config()}
        await self._say({**said, "notes": list(opened.notes)})
        listening = asyncio.create_task(self._listen(session, start))
        tasks = {listening, asyncio.create_task(session.make()), asyncio.create_task(self._send(session))}
        try:
            waiting = set(tasks)
            while waiting - {listening}:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._kept is not None and self._kept.empty:  # stopped before its first picture
            self._kept.forget()
            self._kept = None
        if self._kept is not None:
            await asyncio.to_thread(self._kept.finish, self.engine, start, opened, session)
        await self._say(self._farewell(session))

    def _longest(self) -> float:
        """Seconds of video that the client may have: the server's limit, and his key's own."""
        key = self.socket.scope.get("state", {}).get("key")
        return min(self.engine.settings.longest, (key and key.seconds) or self.engine.settings.longest)

    async def _first(self) -> Start:
        limit = self.engine.settings.start_seconds
        try:
            message = await asyncio.wait_for(self.socket.receive(), limit)
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"no session.start within {limit:g} s") from None
        _refuse_gone(message)
        return read_start(message.get("text"))

    async def _listen(self, session: LiveSession, start: Start) -> None:
        """Until the client goes; what it says after the end is passed over."""
        while True:
            message = await self.socket.receive()
            _refuse_gone(message)
            if message.get("bytes") is not None:
                session.hear(read_packet(message["bytes"], start.sample_format, self.engine.settings.packet_seconds))
                continue
            await self._heed(session, start, read_json(message.get("text")))

    async def _heed(self, session: LiveSession, start: Start, said: dict[str, Any]) -> None:
        kind, most = said.get("type"), self.engine.settings.upload_bytes
        if kind == "session.ping":
            async with self._talking:
                await self._say({"type": "session.pong"})
        elif kind in CONTROLS:
            session.control(str(kind))
        elif kind == "audio.chunk":
            data = read_base64(said.get("data"), "audio.chunk.data", most)
            session.hear(read_packet(data, start.sample_format, self.engine.settings.packet_seconds))
        elif kind == "audio.file":
            data = read_base64(said.get("data"), "audio.file.data", most)
            samples = await asyncio.to_thread(self.engine.sound_of, data)
            if not np.isfinite(samples).all():
                raise LiveError(BAD_DATA, "audio.file holds numbers that are not finite (NaN or infinite)")
            session.hear(samples)
        else:
            raise LiveError(
                BAD_DATA, f"unknown message {str(kind)[:40]}; there are audio.chunk, audio.file, {', '.join(CONTROLS)}"
            )

    async def _send(self, session: LiveSession) -> None:
        """What is made, each behind a line that says what it is."""
        numbers = session.numbers
        while (message := await session.outgoing.get()) is not None:
            data, frames = message
            said = {
                "type": "video.chunk_metadata",
                "request_id": self.name,
                "kind": "media",
                "transport_chunk_index": numbers.chunks,
                "generation_chunk_index": numbers.chunks,
                "num_frames": frames,
                "first_frame": numbers.frames + numbers.dropped,  # only older pictures are left out than any that waits
                "byte_length": len(data),
            }
            async with self._talking:
                await self._say(said)
                await self._taken(self.socket.send_bytes(data))
            numbers.chunks, numbers.frames = numbers.chunks + 1, numbers.frames + frames

    def _farewell(self, session: LiveSession) -> dict[str, Any]:
        numbers = session.numbers
        return {
            "type": "session.done",
            "request_id": self.name,
            "chunks": numbers.chunks,
            "stopped": session.stopped,
            "frames": numbers.frames,
            "signed": False,
            "kept": self._kept is not None,
            "metrics": {
                "first_picture_seconds": _number(numbers.first_picture),
                "real_time_factor": _number(numbers.real_time_factor),
                "dropped_frames": numbers.dropped,
                "late_packets": numbers.late,
            },
        }

    async def _say(self, said: dict[str, Any]) -> None:
        await self._taken(self.socket.send_text(json.dumps(said)))

    async def _taken(self, sending: Any) -> None:
        """Raises LiveError for a client that does not read."""
        limit = self.engine.settings.send_seconds
        try:
            await asyncio.wait_for(sending, limit)
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"nothing was read for {limit:g} s") from None
        except RuntimeError as error:  # starlette's word for a socket that is closed
            raise WebSocketDisconnect(1006) from error

    async def _close(self, code: int, reason: str) -> None:
        with suppress(Exception):
            if reason:
                await asyncio.wait_for(
                    self.socket.send_text(json.dumps({"type": "error", "code": code, "message": reason})), 1
                )
        with suppress(Exception):
            await asyncio.wait_for(self.socket.close(code, reason.encode()[:REASON].decode(errors="ignore")), 1)


def _refuse_gone(message: Any) -> None:
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))


def _number(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if np.isnan(value) else round(value, 4)
