"""A live session over a WebSocket: sound in binary frames, each piece of video behind a line that says what it is."""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from serving.live.connection import ClientGoneError, Connection
from serving.live.engine import LiveEngine
from serving.live.messages import Start, read_base64, read_json, read_packet, read_start
from serving.live.metrics import LiveMetrics
from serving.live.session import LiveSession
from serving.live.settings import BAD_DATA, TIMED_OUT, LiveError

REASON = 120  # bytes; a close frame holds 123


class SocketConnection(Connection):
    """One socket from its first message to its close code."""

    SOUND = ("audio.chunk", "audio.file")

    def __init__(self, socket: WebSocket, engine: LiveEngine, metrics: LiveMetrics, folder: Path):
        address = socket.client.host if socket.client else ""
        super().__init__(engine, metrics, folder, socket.scope.get("state", {}), address)
        self.socket = socket
        self._talking = asyncio.Lock()  # a piece follows the line that says what it is, whatever else is answered

    async def serve(self) -> None:
        """Accept, make, close."""
        await self.socket.accept()
        await super().serve()

    async def first(self) -> Start:
        """The first message; raises LiveError for another, or none."""
        limit = self.engine.settings.start_seconds
        try:
            async with asyncio.timeout(limit):
                message = await self.socket.receive()
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"no session.start within {limit:g} s") from None
        _refuse_gone(message)
        return read_start(read_json(message.get("text")))

    async def ready(self, session: LiveSession) -> None:
        """It is open already."""

    def listeners(self, session: LiveSession) -> list[Coroutine[Any, Any, None]]:
        """Sound and messages come one way."""
        return [self._listen(session)]

    async def _listen(self, session: LiveSession) -> None:
        while True:
            message = await self.socket.receive()
            _refuse_gone(message)
            if message.get("bytes") is not None:
                self._hear(session, message["bytes"])
                continue
            said = read_json(message.get("text"))
            if said.get("type") == "session.ping":
                async with self._talking:
                    await self.heed(session, said)
            elif said.get("type") in self.SOUND:
                await self._hear_message(session, said)
            else:
                await self.heed(session, said)

    def _hear(self, session: LiveSession, data: bytes) -> None:
        session.hear(read_packet(data, session.start.sample_format, self.engine.settings.packet_seconds))

    async def _hear_message(self, session: LiveSession, said: dict[str, Any]) -> None:
        data = read_base64(said.get("data"), f"{said['type']}.data", self.engine.settings.upload_bytes)
        if said["type"] == "audio.chunk":
            return self._hear(session, data)
        samples = await asyncio.to_thread(self.engine.sound_of, data)
        if not np.isfinite(samples).all():
            raise LiveError(BAD_DATA, "audio.file holds numbers that are not finite (NaN or infinite)")
        session.hear(samples)

    async def send_media(self, session: LiveSession) -> None:
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
                await self.say(said)
                await self._taken(self.socket.send_bytes(data))
            numbers.chunks, numbers.frames = numbers.chunks + 1, numbers.frames + frames

    async def say(self, said: dict[str, Any]) -> None:
        """In a text frame."""
        await self._taken(self.socket.send_text(json.dumps(said)))

    async def _taken(self, sending: Any) -> None:
        """Raises LiveError for a client that does not read."""
        limit = self.engine.settings.send_seconds
        try:
            async with asyncio.timeout(limit):
                await sending
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"nothing was read for {limit:g} s") from None
        except (
            RuntimeError,
            WebSocketDisconnect,
        ) as error:  # starlette's words for a socket that is closed, before and while it is written to
            raise ClientGoneError from error

    async def close(self, code: int, reason: str) -> None:
        """With the code and its reason; the reason is said before, whole."""
        with suppress(Exception):
            if reason:
                said = {"type": "error", "code": code, "message": reason}
                async with asyncio.timeout(1):
                    await self.socket.send_text(json.dumps(said))
        with suppress(Exception):
            async with asyncio.timeout(1):
                await self.socket.close(code, reason.encode()[:REASON].decode(errors="ignore"))


def _refuse_gone(message: Any) -> None:
    if message["type"] == "websocket.disconnect":
        raise ClientGoneError
