"""A client of live sessions over WebRTC, on loopback alone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any, Protocol

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from serving.live.candidates import candidates_on
from serving.live.webrtc_routes import PLACE
from tests.serving.live import picture

PACKET = 320  # 20 ms


class Reached(Protocol):
    """Where a server is found on loopback."""

    @property
    def port(self) -> int: ...


class Voice(MediaStreamTrack):
    """`(S,)` int16 at 16 kHz in its own time, then silence; nothing before `begin`, and nothing at all without sound."""

    kind = "audio"

    def __init__(self, samples: np.ndarray | None):
        super().__init__()
        self.samples, self.begun = samples, asyncio.Event()
        self.began = 0.0
        self._at = 0

    async def recv(self) -> av.AudioFrame:
        await self.begun.wait()
        if self.samples is None:
            await asyncio.Event().wait()
        if not self._at:
            self.began = time.monotonic()
        await asyncio.sleep(max(0.0, self.began + self._at / 16_000 - time.monotonic()))
        packet = np.zeros(PACKET, np.int16)
        assert self.samples is not None
        given = self.samples[self._at : self._at + PACKET]
        packet[: len(given)] = given
        frame = av.AudioFrame.from_ndarray(packet[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, self._at, Fraction(1, 16_000)
        self._at += PACKET
        return frame


class Caller:
    """One peer.

    Attributes:
        said: messages as they came.
        frames: when each picture came, by the clock, and it.
        heard: the same of sound.
    """

    def __init__(self, server: Reached, samples: np.ndarray | None):
        self.server, self.voice = server, Voice(samples)
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.peer.createDataChannel("events")
        self.channel.on("message", lambda text: self.said.append(json.loads(text)))
        self.peer.addTrack(self.voice)
        self.peer.addTransceiver("video", "recvonly")
        self.peer.on("track", self._take)
        self.said: list[dict[str, Any]] = []
        self.frames: list[tuple[float, av.VideoFrame]] = []
        self.heard: list[tuple[float, av.AudioFrame]] = []
        self.location = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        with candidates_on("127.0.0.1"):
            await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def begin(self, alone: bool = False, headers: Any = None, **settings: Any) -> None:
        """Post the offer, with the session or `alone`; returns at `video.start`, and speaks from then on."""
        sdp = await self.offer()
        start = {"image": picture(), **settings}
        async with aiohttp.ClientSession() as http:
            body = (
                {"data": sdp, "headers": {"Content-Type": "application/sdp"}}
                if alone
                else {"json": {"sdp": sdp, **start}}
            )
            body["headers"] = {**body.get("headers", {}), **(headers or {})}
            async with http.post(f"http://127.0.0.1:{self.server.port}{PLACE}", **body) as answer:
                text = await answer.text()
                assert answer.status == 201 and answer.content_type == "application/sdp", text
                self.location, self.answered = answer.headers["Location"], text
        await self.peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        if alone:
            await until(lambda: self.channel.readyState == "open")
            self.say("session.start", **start)
        await until(lambda: self.said)
        self.voice.begun.set()

    def say(self, kind: str, **more: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **more}))

    async def ended(self, patience: float = 30.0) -> dict[str, Any]:
        """The last word."""
        await until(lambda: self.said and self.said[-1]["type"] in ("session.done", "error"), patience)
        return self.said[-1]

    async def close(self) -> None:
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._keep(track, self.frames if track.kind == "video" else self.heard)))

    async def _keep(self, track: MediaStreamTrack, kept: list[Any]) -> None:
        try:
            while True:
                frame = await track.recv()
                kept.append((time.monotonic(), frame))
        except MediaStreamError:
            return


@asynccontextmanager
async def call(server: Reached, samples: np.ndarray | None, **settings: Any) -> AsyncIterator[Caller]:
    caller = Caller(server, samples)
    try:
        await caller.begin(**settings)
        yield caller
    finally:
        await caller.close()


async def until(met: Any, patience: float = 20.0) -> None:
    begun = time.monotonic()
    while not met():
        assert time.monotonic() < begun + patience, "nothing came"
        await asyncio.sleep(0.01)


def arrivals(caller: Caller) -> tuple[float, float]:
    """When the first white picture and the first loud sample came, by the clock of the one who took them.

    aiortc's receiver hands a picture out when the next comes, and sound when four packets more are there: each is timed by the least delay of its track, from
    timestamps to the clock.
    """
    frames, packets = caller.frames, caller.heard
    video = min(when - frame.pts / 90_000 for when, frame in frames[2:]) - 1 / 16
    sounding = min(when - frame.pts / 48_000 for when, frame in packets[10:]) - 4 * 0.02
    white = next(frame.pts for _, frame in frames if frame.to_ndarray(format="gray").mean() > 128)
    for _, frame in packets:
        samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
        loud = np.flatnonzero(np.abs(samples.astype(int)) > 3_000)
        if len(loud):
            return video + white / 90_000, sounding + (frame.pts + loud[0]) / 48_000
    raise AssertionError("no tone came")
