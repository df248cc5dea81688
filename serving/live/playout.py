"""When what a live session makes is seen and heard over WebRTC: pictures and sound of one clock."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np

from serving.live.output import TRACK_RATE, Piece
from serving.live.session import LiveNumbers

PACKET = TRACK_RATE // 50  # samples; 20 ms, as Opus has them
MOST_SECONDS, LEFT_SECONDS = 1.0, 0.25  # of pictures that may wait before old ones are left out, and that are left then


class Playout:
    """Holds what was made until its time has come.

    All times are ticks: samples of `TRACK_RATE` since the first packet of sound or the first picture. Both tracks' timestamps count ticks, and each packet goes out at
    the tick that it bears, so that a player that maps them to the clock (RFC 3550, 6.4.1) shows pictures with their own sound. The first picture goes out
    as soon as it is there; sound and the other pictures begin when the second latent is, else they would stand still again after the first frame. Where pictures
    come too late, all that follows is later, and the sound waits with them.
    """

    def __init__(self, fps: float, clock: Callable[[], float] | None = None):
        """`clock`: of seconds; by default the loop's own."""
        self.numbers = LiveNumbers()  # the session's, once there is one
        self._clock = clock or asyncio.get_running_loop().time
        self._frame = Fraction(TRACK_RATE) / Fraction(fps).limit_denominator(1001)  # ticks of a picture
        self._began: float | None = None
        self._origin: int | None = None  # the tick at which the video's time is 0
        self._pictures: deque[tuple[int, av.VideoFrame]] = deque()
        self._made = self._pieces = self._packets = 0
        self._sound, self._heard = np.zeros(0, np.int16), 0  # what waits, and how much went out or was passed over
        self._missed = 0  # samples that were passed over before they came
        self._last = -1  # the tick of the last picture
        self._over = False
        self._changed = asyncio.Event()

    def add(self, piece: Piece) -> None:
        """Take what a latent became; what has waited for too long is left out, with its sound."""
        if self._origin is not None and piece.pictures and not self._pictures:
            # Too late: all that follows is later. Not where the loop wakes late, which would put off a little more each time.
            self._origin = max(self._origin, self._begin() - round(self._made * self._frame))
        self._pictures.extend((self._made + index, picture) for index, picture in enumerate(piece.pictures))
        self._made += len(piece.pictures)
        missed = min(self._missed, len(piece.sound))
        self._missed -= missed
        self._sound = np.concatenate([self._sound, piece.sound[missed:]])
        self._pieces += 1
        if self._origin is None and self._pieces > 1:
            self._origin = self._begin()
        if len(self._pictures) * self._frame > MOST_SECONDS * TRACK_RATE:
            self._leave_out(len(self._pictures) - round(LEFT_SECONDS * TRACK_RATE / self._frame))
        self._changed.set()

    def finish(self) -> None:
        """Nothing more will come."""
        self._over = True
        self._origin = self._begin() if self._origin is None else self._origin
        self._changed.set()

    def clear(self) -> None:
        """Show nothing of what waits."""
        self._pictures.clear()
        self._sound = np.zeros(0, np.int16)
        self._changed.set()

    async def played(self) -> None:
        """Until all is out, after `finish`."""
        while self._pictures:
            await self._change()
        end = self._origin + round(self._made * self._frame) if self._origin is not None and len(self._sound) else 0
        await asyncio.sleep(max(0.0, (end - self._now()) / TRACK_RATE))

    async def picture(self) -> av.VideoFrame:
        """The next one, at its time."""
        while True:
            while not self._pictures or (self._pictures[0][0] > 0 and self._origin is None):
                await self._change()
            due = self._due(self._pictures[0][0])
            if (early := due - self._now()) <= 0:
                break
            await self._change(early / TRACK_RATE)
        _, picture = self._pictures.popleft()
        picture.pts, picture.time_base = max(due, self._last + 1), Fraction(1, TRACK_RATE)
        self._last = picture.pts
        self.numbers.frames += 1
        self._changed.set()
        return picture

    async def sound(self) -> av.AudioFrame:
        """The next packet, at its time: what belongs to the pictures that are there, else silence."""
        tick = self._packets * PACKET
        await asyncio.sleep(max(0.0, (tick - self._now()) / TRACK_RATE))
        self._packets += 1
        packet = av.AudioFrame.from_ndarray(self._heard_from(tick)[None], format="s16", layout="mono")
        packet.pts, packet.time_base, packet.sample_rate = tick, Fraction(1, TRACK_RATE), TRACK_RATE
        return packet

    def _heard_from(self, tick: int) -> np.ndarray:
        samples = np.zeros(PACKET, np.int16)
        if self._origin is None:
            return samples
        with_pictures = len(self._sound) if self._over else max(0, round(self._made * self._frame) - self._heard)
        start = self._origin + self._heard - tick
        if start < 0:  # of pictures that were left out; or there are none, and the sound stands as they do
            passed = min(-start, with_pictures)
            self._take(passed)
            start, with_pictures = 0, with_pictures - passed
        count = max(0, min(PACKET - start, with_pictures, len(self._sound)))
        samples[start : start + count] = self._take(count)
        return samples

    def _take(self, count: int) -> np.ndarray:
        taken, self._sound = self._sound[:count], self._sound[count:]
        self._heard += count
        self._missed += count - len(taken)
        return taken

    def _begin(self) -> int:
        """The next tick at which nothing has gone out: of a packet on its way the rest is silence, and sound that belongs there would be lost."""
        return max(self._now(), self._packets * PACKET)

    def _due(self, index: int) -> int:
        return self._now() if self._origin is None else self._origin + round(index * self._frame)

    def _leave_out(self, count: int) -> None:
        for _ in range(count):
            self._pictures.popleft()
        self.numbers.dropped += count
        assert self._origin is not None
        self._origin -= round(count * self._frame)

    def _now(self) -> int:
        if self._began is None:
            self._began = self._clock()
        return round((self._clock() - self._began) * TRACK_RATE)

    async def _change(self, seconds: float | None = None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` can lose a cancellation before Python 3.12
                await self._changed.wait()
