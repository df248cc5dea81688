"""A live session over WebRTC (the extra `webrtc`): sound comes and goes as tracks, messages over a data channel."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from media.speech.level import RATE
from serving.live.candidates import candidates_on
from serving.live.connection import ClientGoneError, Connection
from serving.live.engine import LiveEngine
from serving.live.messages import Start, read_json, read_start
from serving.live.metrics import LiveMetrics
from serving.live.offer import Offer
from serving.live.output import TRACK_RATE
from serving.live.playout import Playout
from serving.live.session import LiveSession
from serving.live.settings import BAD_DATA, FAULT, TIMED_OUT, TOO_LARGE, UNSUPPORTED, LiveError, LiveSettings

MESSAGES = 256  # of a client that may wait; a data channel holds nobody back
GAP_SECONDS = 1.0  # the longest loss that is filled with silence
PARTING_SECONDS = 1.0  # for the client to read the last message
GONE = ("failed", "closed")


class RtcConnection(Connection):
    """One peer from its offer to its end.

    Attributes:
        answer: the SDP answer as soon as there is one, else a LiveError.
    """

    def __init__(
        self,
        engine: LiveEngine,
        metrics: LiveMetrics,
        folder: Path,
        state: Mapping[str, Any],
        caller: str,
        offer: Offer,
        local: str,
    ):
        """`caller`: his address; `local`: the one of this machine that media is sent from."""
        super().__init__(engine, metrics, folder, state, caller)
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._offer, self._local = offer, local
        self._peer: RTCPeerConnection | None = None
        self._channel: RTCDataChannel | None = None
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._playout = Playout(engine.workspace.profile.video.fps)
        self._hearing: asyncio.Task[None] | None = None
        self._failed: LiveError | None = None

    async def serve(self) -> None:
        """Until it is over; then nothing of it is left."""
        try:
            await super().serve()
        finally:
            self.answer.cancel()
            if self._hearing is not None:
                self._hearing.cancel()
                await asyncio.gather(self._hearing, return_exceptions=True)
            if self._peer is not None:
                await self._peer.close()

    async def first(self) -> Start:
        """What was posted with the offer, else the first message."""
        if self._offer.start is not None:
            return self._offer.start
        await self._negotiate()
        limit = self.engine.settings.start_seconds
        try:
            async with asyncio.timeout(limit):
                said = await self._messages.get()
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"no session.start within {limit:g} s") from None
        return read_start(read_json(_text(said)), rtp=True)

    async def ready(self, session: LiveSession) -> None:
        """The way is open."""
        self._playout.numbers = session.numbers
        if self._peer is None:
            await self._negotiate()
        limit = self.engine.settings.start_seconds
        try:
            async with asyncio.timeout(limit):
                while self._channel is None and not self._gone:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise LiveError(TIMED_OUT, f"no data channel within {limit:g} s of the answer") from None

    def listeners(self, session: LiveSession) -> list[Coroutine[Any, Any, None]]:
        """Sound, and messages."""
        return [self._listen(session)]

    async def _listen(self, session: LiveSession) -> None:
        while True:
            said = await self._messages.get()
            if self._failed is not None:
                raise self._failed
            if said is None:
                raise ClientGoneError
            await self.heed(session, read_json(_text(said)))

    async def heed(self, session: LiveSession, said: dict[str, Any]) -> None:
        """As for every way, and what waits is not shown after a stop."""
        await super().heed(session, said)
        if session.stopped:
            self._playout.clear()

    def stop(self) -> bool:
        """As the client's `session.stop`; False where there is nothing to stop yet."""
        if self.session is None:
            return False
        self.session.control("session.stop")
        self._playout.clear()
        return True

    async def send_media(self, session: LiveSession) -> None:
        """What is made, into the tracks; but for the latent that was under way when the client asked to stop."""
        while (message := await session.outgoing.get()) is not None:
            if not session.stopped:
                self._playout.add(message[0])
                session.numbers.chunks += 1
        self._playout.finish()
        await self._playout.played()

    async def say(self, said: dict[str, Any]) -> None:
        """Over the data channel."""
        if self._channel is None or self._channel.readyState != "open" or self._gone:
            raise ClientGoneError
        self._channel.send(json.dumps(said))

    async def close(self, code: int, reason: str) -> None:
        """In the answer to the offer, else over the data channel, which the client is given a moment to read."""
        if not self.answer.done():
            return self.answer.set_exception(LiveError(code, reason))
        with suppress(ClientGoneError):
            if reason:
                await self.say({"type": "error", "code": code, "message": reason})
            until = asyncio.get_running_loop().time() + PARTING_SECONDS
            while not self._gone and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.02)

    @property
    def _gone(self) -> bool:
        closed = self._channel is not None and self._channel.readyState == "closed"
        return closed or (self._peer is not None and self._peer.connectionState in GONE)

    async def _negotiate(self) -> None:
        """Raises LiveError for an offer that cannot be answered."""
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers(self.engine.settings)))
        sound = peer.addTransceiver(_Track("audio", self._playout.sound), "sendrecv")
        capable = RTCRtpSender.getCapabilities("audio").codecs
        sound.setCodecPreferences([codec for codec in capable if codec.mimeType == "audio/opus"])
        peer.addTransceiver(_Track("video", self._playout.picture), "sendonly")  # the codecs are in the client's order
        peer.on("datachannel", self._take_channel)
        peer.on("connectionstatechange", self._changed)
        peer.on("track", self._take_track)
        try:
            await peer.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
            with candidates_on(self._local):
                await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # aiortc's own, and of its parser: ValueError, KeyError, AssertionError
            raise LiveError(BAD_DATA, f"the offer cannot be answered: {error or type(error).__name__}") from error
        self._check_candidates(peer)
        self.answer.set_result(peer.localDescription.sdp)

    def _check_candidates(self, peer: RTCPeerConnection) -> None:
        """Fails closed, should aioice ever gather otherwise than `candidates_on` says."""
        found = [line.split() for line in peer.localDescription.sdp.splitlines() if line.startswith("a=candidate:")]
        hosts = {words[4] for words in found if words[7] == "host"}
        if hosts != {self._local}:
            raise LiveError(FAULT, f"the server cannot send media from {self._local}; --live-address names another")

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            return channel.close()
        self._channel = channel
        channel.on("message", self._take_message)
        channel.on("close", lambda: self._messages.put_nowait(None))

    def _take_message(self, message: str | bytes) -> None:
        if self._messages.qsize() > MESSAGES:
            self._failed = LiveError(TOO_LARGE, f"more than {MESSAGES} messages wait")
        else:
            self._messages.put_nowait(message)

    def _take_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._hearing = asyncio.create_task(self._hear(track))

    def _changed(self) -> None:
        if self._gone:
            self._messages.put_nowait(None)

    async def _hear(self, track: MediaStreamTrack) -> None:
        """The client's sound, in its own time: silence takes the place of packets that were lost."""
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        expected: int | None = None
        with suppress(MediaStreamError):
            while self._failed is None:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame) and frame.pts is not None
                lost = 0 if expected is None else frame.pts - expected
                expected = frame.pts + frame.samples
                frame.pts = None
                heard = [part.to_ndarray()[0] for part in resampler.resample(frame)]
                if 0 < lost <= GAP_SECONDS * TRACK_RATE:
                    heard.insert(0, np.zeros(lost * RATE // TRACK_RATE, np.int16))
                # What comes before the session begins is nobody's, and what comes after `audio.done` is not meant.
                if self.session is not None and not self.session.ended and self._channel is not None and heard:
                    self._give(self.session, np.concatenate(heard).astype(np.float32) / 2.0**15)

    def _give(self, session: LiveSession, samples: np.ndarray) -> None:
        try:
            session.hear(samples)
        except LiveError as error:
            self._failed = error
            self._messages.put_nowait(None)


class _Track(MediaStreamTrack):
    """What a playout gives, when it gives it."""

    def __init__(self, kind: str, give: Any):
        super().__init__()
        self.kind, self._give = kind, give

    async def recv(self) -> Any:
        """The next frame."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self._give()


def ice_servers(settings: LiveSettings) -> list[RTCIceServer]:
    """None by default: aiortc would ask a public one where it is told nothing."""
    name, password = settings.turn_login or (None, None)
    return [RTCIceServer(url, username=name, credential=password) for url in settings.ice_servers]


def _text(said: str | bytes | None) -> str:
    """Raises ClientGoneError for the channel's end."""
    if said is None:
        raise ClientGoneError
    if isinstance(said, bytes):
        raise LiveError(UNSUPPORTED, "the data channel takes JSON as text; sound comes on the audio track")
    return said
