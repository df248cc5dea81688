"""One client from its first message to the reason why it ended, whatever carries what is said."""

import asyncio
import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.http.keys import Right
from serving.live.engine import LiveEngine
from serving.live.finished import FinishedVideo, forget_old, own_folder
from serving.live.messages import CONTROLS, Start
from serving.live.metrics import LiveMetrics
from serving.live.session import LiveSession
from serving.live.settings import BAD_DATA, DONE, FAULT, NOT_ALLOWED, LiveError

logger = logging.getLogger(__name__)


class ClientGoneError(Exception):
    """Nobody is there to be told anything."""


class Connection(ABC):
    """What a socket and WebRTC share: who may, the place, the session, its end and its numbers."""

    SOUND: tuple[str, ...] = ()  # messages that carry sound here

    def __init__(self, engine: LiveEngine, metrics: LiveMetrics, folder: Path, state: Mapping[str, Any], address: str):
        """`state`: of the request, as `serving.http.clients.Clients` filled it; `address`: where nobody is asked for a key, as on the page."""
        self.engine, self.metrics, self.folder = engine, metrics, folder
        self.name = f"live-{uuid.uuid4().hex}"
        self.client: str = state.get("client", address)
        self.session: LiveSession | None = None
        self._state = state
        self._kept: FinishedVideo | None = None

    @abstractmethod
    async def first(self) -> Start:
        """What the session shall be."""

    @abstractmethod
    async def ready(self, session: LiveSession) -> None:
        """Until something can be said of the session."""

    @abstractmethod
    def listeners(self, session: LiveSession) -> list[Coroutine[Any, Any, None]]:
        """What takes sound and messages until the client goes; what comes after the end is passed over."""

    @abstractmethod
    async def send_media(self, session: LiveSession) -> None:
        """What is made, until all of it is with the client."""

    @abstractmethod
    async def say(self, said: dict[str, Any]) -> None:
        """One message."""

    @abstractmethod
    async def close(self, code: int, reason: str) -> None:
        """Say why, and end; whether the client is there or not."""

    async def serve(self) -> None:
        """Nothing is left behind, however it ends."""
        code, reason = DONE, ""
        try:
            if (key := self._state.get("key")) is not None and Right.VIDEOS not in key.rights:
                raise LiveError(
                    NOT_ALLOWED, f"the key of {self.client} is not for `{Right.VIDEOS}`; ask the operator for it"
                )
            with self.engine.place(self.client):
                await self._live()
        except LiveError as error:
            code, reason = error.code, str(error)
        except ClientGoneError:
            code = 0
        except asyncio.CancelledError:
            code = 0
            raise
        except Exception:
            logger.exception("live session %s failed", self.name)
            code, reason = FAULT, "the server could not go on; its log says why"
        finally:
            self.metrics.ended(code, None if self.session is None else self.session.numbers)
            if self._kept is not None:
                self._kept.forget()
        if code:
            await self.close(code, reason)
        await asyncio.to_thread(forget_old, self.folder, self.engine.settings)

    async def heed(self, session: LiveSession, said: dict[str, Any]) -> None:
        """One message in JSON that carries no sound.

        Raises:
            LiveError: there is none of that name.
        """
        kind = said.get("type")
        if kind == "session.ping":
            await self.say({"type": "session.pong"})
        elif kind in CONTROLS:
            session.control(str(kind))
        else:
            known = ", ".join([*self.SOUND, *CONTROLS])
            raise LiveError(BAD_DATA, f"unknown message {str(kind)[:40]}; there are {known}")

    async def _live(self) -> None:
        start = await self.first()
        opened = await self.engine.run(self.engine.opened, start)
        if start.keep:
            self._kept = FinishedVideo(own_folder(self.folder, self._state), self.name)
        keep = None if self._kept is None else self._kept.add
        session = LiveSession(self.engine, start, opened, self._longest(), keep)
        self.session = session
        await self.ready(session)
        said = {"type": "video.start", "request_id": self.name, "format": start.format, "config": session.config()}
        await self.say({**said, "notes": list(opened.notes)})
        listening = {asyncio.create_task(listener) for listener in self.listeners(session)}
        tasks = {*listening, asyncio.create_task(session.make()), asyncio.create_task(self.send_media(session))}
        try:
            waiting = set(tasks)
            while waiting - listening:
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
        await self.say(self._farewell(session))

    def _longest(self) -> float:
        """Seconds of video that the client may have: the server's limit, and his key's own."""
        key = self._state.get("key")
        return min(self.engine.settings.longest, (key and key.seconds) or self.engine.settings.longest)

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


def _number(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if np.isnan(value) else round(value, 4)
