"""One live session: what came in, what is made of it, and when."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from media.speech.level import RATE
from serving.live.engine import LiveEngine, Opened
from serving.live.messages import Start
from serving.live.output import Output, output_of
from serving.live.settings import NOT_ALLOWED, TIMED_OUT, LiveError

QUEUE = 16  # messages that may wait for a client


@dataclass
class LiveNumbers:
    """What is measured of a session.

    Attributes:
        first_picture: seconds from when the sound of the first picture was in until that picture could be sent; NaN before.
        seconds: of video.
        work: seconds of the model's thread and of encoding.
        dropped: pictures that were left out because the client was slow; only single pictures are.
        late: packets that came after silence had been put in their place.
        frames, chunks: that were sent.
    """

    first_picture: float = float("nan")
    seconds: float = 0.0
    work: float = 0.0
    dropped: int = 0
    late: int = 0
    frames: int = 0
    chunks: int = 0

    @property
    def real_time_factor(self) -> float:
        """Seconds of video for a second of work."""
        return self.seconds / self.work if self.work else float("nan")


class LiveSession:
    """Takes sound and controls, and puts messages into `outgoing` until it ends."""

    def __init__(
        self,
        engine: LiveEngine,
        start: Start,
        opened: Opened,
        longest: float,
        keep: Callable[[bytes], None] | None = None,
    ):
        """`longest`: seconds of video; `keep`: is given every byte that goes out."""
        self.engine, self.start, self.opened, self.longest = engine, start, opened, longest
        self.numbers = LiveNumbers()
        self.outgoing: asyncio.Queue[tuple[Any, int] | None] = asyncio.Queue(QUEUE)
        self.paused = self.stopped = self.ended = False
        self.sound = _Sound()
        self._changed = asyncio.Event()
        self._output: Output = output_of(start.format, opened.fps, "AI-generated (live, not signed)")
        self._keep = keep
        self._voice, self._sent = np.zeros(0, np.float32), 0  # sound that has not gone out, and how much has
        self._begun = self._went_on = time.monotonic()  # when the video began, and when it last went on
        self._complete = float("nan")  # when the first picture's sound was in

    def hear(self, samples: np.ndarray) -> None:
        """Take sound.

        Raises:
            LiveError: the session would be longer than it may be, or the sound was said to be over.
        """
        if self.ended:
            raise LiveError(NOT_ALLOWED, "sound came after audio.done")
        if (self.sound.given + len(samples)) / RATE > self.longest:
            raise LiveError(NOT_ALLOWED, f"a session lasts at most {self.longest:g} s here; start another one")
        self.numbers.late += self.sound.add(samples)
        if np.isnan(self._complete) and self.sound.given >= self.opened.stream.needed_samples(0):
            self._complete = time.monotonic()
        self._changed.set()

    def control(self, kind: str) -> None:
        """Pause, resume, stop, or the sound's end."""
        if kind == "audio.done":
            self.ended = True
        elif kind == "session.stop":
            self.stopped = True
        else:
            self.paused = kind == "session.pause"
        self._changed.set()

    async def make(self) -> None:
        """Until the sound is over, the client stops, or the session is as long as it may be.

        Raises:
            LiveError: no sound came for too long.
        """
        self._begun = self._went_on = time.monotonic()
        while not self.stopped and not self._over:
            if self.paused:
                await self._resumed()
            elif await self._enough_sound():
                await self._not_too_early()
                await self._one_latent()
        for message in self._output.finish():
            await self._put(message)
        await self.outgoing.put(None)

    @property
    def _over(self) -> bool:
        stream = self.opened.stream
        longest = self.longest * self.opened.fps
        return (self.ended and stream.frames >= max(1, round(self._asked))) or stream.frames >= longest

    @property
    def _asked(self) -> float:
        """Frames that the sound lasts, with the silence that was put in."""
        return (self.sound.total - self.sound.padding) / RATE * self.opened.fps

    async def _enough_sound(self) -> bool:
        """Whether the next latent can be made; silence takes the place of sound that will not come, or comes too late."""
        missing = self.opened.stream.missing_samples - self.sound.waiting
        if missing <= 0:
            return True
        if self.ended:
            self.sound.silence(missing, owed=False)
            self.sound.padding += missing
            return True
        if not self.start.idle:
            quiet = self.engine.settings.quiet_seconds
            # Since the last pictures, not since the last packet: a sample now and then would hold a place for ever.
            left = max(0.0, self._went_on + quiet - time.monotonic())
            problem = f"no sound came for {quiet:g} s, or too little for a picture; send sound, or ask for idle motion"
            await self._wait(left, problem)
            self._stand_clock()
            return False
        wait = self._begun + self.sound.total / RATE + self.engine.settings.late_seconds - time.monotonic()
        if wait > 0:
            await self._wait(wait)
            return False
        self.sound.silence(missing, owed=True)
        return True

    async def _resumed(self) -> None:
        """While the session is paused. Whatever else is said meanwhile makes a pause no longer than it may be."""
        quiet = self.engine.settings.quiet_seconds
        until = time.monotonic() + quiet
        while self.paused and not self.stopped and not self._over:
            left = max(0.0, until - time.monotonic())
            await self._wait(left, f"the session was paused for {quiet:g} s; start another one")
        self._went_on = time.monotonic()
        self._stand_clock()

    def _stand_clock(self) -> None:
        """While there was nothing to make the video's clock stood: else it would run after the time that passed, in silence or all at once."""
        self._begun = max(self._begun, time.monotonic() - self.opened.stream.frames / self.opened.fps)

    async def _wait(self, seconds: float, problem: str = "") -> None:
        """For something to change; that nothing did for so many seconds is an error where there is a `problem`."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):  # `wait_for` can lose a cancellation before Python 3.12
                await self._changed.wait()
        except TimeoutError:
            if problem:
                raise LiveError(TIMED_OUT, problem) from None

    async def _not_too_early(self) -> None:
        """The video's own rate, a little ahead."""
        ahead = self.opened.stream.frames / self.opened.fps - (time.monotonic() - self._begun)
        # Tracks are played as they come: what is made ahead of them only waits, and stays after a stop.
        over = ahead - (0.0 if self.start.format == "rtp" else self.engine.settings.ahead_seconds)
        if self.start.pace == "video" and over > 0:
            await self._wait(over)

    async def _one_latent(self) -> None:
        if self.stopped or self.paused:
            return
        samples = self.sound.take()
        messages, frames, seconds = await self.engine.run(self._work, samples)
        self.numbers.work += seconds
        self.numbers.seconds += frames / self.opened.fps
        if np.isnan(self.numbers.first_picture) and not np.isnan(self._complete):
            self.numbers.first_picture = time.monotonic() - self._complete
        # Also what was made while the client asked to stop: what ends an mp4 goes on from it.
        for message in messages:
            await self._put(message)
        self._went_on = time.monotonic()

    def _work(self, samples: np.ndarray) -> tuple[Sequence[tuple[Any, int]], int, float]:
        """One latent, in the model's thread: its messages, its frames, and the seconds that it took."""
        begun, stream = time.perf_counter(), self.opened.stream
        if len(samples):
            stream.hear(torch.from_numpy(samples)[None])
        first = stream.frames
        frames = stream.make()[0]
        if self.ended:  # a latent is four pictures, of which the sound's last may need fewer
            frames = frames[: max(1, round(self._asked) - first)]
        pictures = self.opened.marking.pictures(frames, self.opened.fps, first)
        self._voice = np.concatenate([self._voice, samples])
        ahead = stream.needed_samples(stream.latents - 1) - self._sent
        messages = self._output.add(pictures, self._voice[:ahead])
        self._sent, self._voice = self._sent + len(self._voice[:ahead]), self._voice[ahead:]
        return messages, len(frames), time.perf_counter() - begun

    async def _put(self, message: tuple[Any, int]) -> None:
        """Wait for the client, or, where pictures stand alone, leave out the oldest."""
        if self._keep is not None:
            self._keep(message[0])
        if self.start.format in ("jpeg", "png") and self.start.pace == "video" and self.outgoing.full():
            dropped = self.outgoing.get_nowait()
            self.numbers.dropped += 0 if dropped is None else dropped[1]
        await self.outgoing.put(message)

    def config(self) -> dict[str, Any]:
        """For `video.start`."""
        stream, streaming = self.opened.stream, self.engine.streaming
        return {
            "fps": self.opened.fps,
            "width": stream.width,
            "height": stream.height,
            "seed": self.start.seed,
            "model": self.engine.model.name,
            "sample_rate": RATE,
            "sample_format": self.start.sample_format,
            "lookahead_frames": streaming.lookahead,
            "longest_seconds": self.longest,
            "signed": False,
            "ai_generated": True,
            "marked": self.start.mark,
        }


@dataclass
class _Sound:
    """Samples on their way to the model.

    Attributes:
        given: how many the client sent.
        owed: samples of silence that stood in for late ones.
        padding: samples of silence after the end.
        total: of all that was put in.
        waiting: of these, what the model has not taken.
    """

    given: int = 0
    owed: int = 0
    padding: int = 0
    total: int = 0
    waiting: int = 0
    _parts: list[np.ndarray] = field(default_factory=list)

    def add(self, samples: np.ndarray) -> int:
        """Take some; returns 1 where silence had been put in their place, else 0."""
        late = self.owed > 0
        self.owed = max(0, self.owed - len(samples))
        self.given += len(samples)
        self._put(samples)
        return int(late)

    def silence(self, count: int, owed: bool) -> None:
        """Put some in."""
        self.owed += count if owed else 0
        self._put(np.zeros(count, np.float32))

    def take(self) -> np.ndarray:
        """All that waits."""
        taken = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        self._parts, self.waiting = [], 0
        return taken

    def _put(self, samples: np.ndarray) -> None:
        self._parts.append(samples)
        self.total += len(samples)
        self.waiting += len(samples)
