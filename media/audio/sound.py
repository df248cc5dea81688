"""Sound of a file on the file's own clock: every decoded piece stands where its time says, and what is missing is silence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from media.audio.meter import Meter, samples_of
from media.audio.sound_clock import SoundClock
from media.containers import MediaError, reading_failed

# Of the packets: below it a repaired spot, above it a broken track.
DAMAGED_SHARE = 0.1
# Containers without a clock: packets stand one behind the other, and nothing says how many samples the encoder put before the first.
COUNTED_FORMATS = frozenset({"avi", "aac", "ac3", "eac3"})
# As many as FFmpeg's and LAME's encoders put there: a frame of AAC's transform, LAME's and MP3's decoder's delay, half a block of AC-3.
PRIMING = {"aac": 1024, "mp3": 1105, "ac3": 256, "eac3": 256}


@dataclass(frozen=True)
class Segment:
    """`samples` `(channels, S)` float32 of the layout's channels; the first one is number `start` of the file's clock."""

    start: int
    layout: av.AudioLayout
    samples: np.ndarray


@dataclass
class SoundStream:
    """The pieces of one audio stream at `sample_rate`, in the stream's own channels, in order and without overlaps.

    A resampler is set up anew wherever the format changes or the sound jumps. Packets that do not decode are counted and
    leave silence.

    Raises (while iterated):
        MediaError: `bad_audio` without a decoder or where the container breaks off, `unreadable`.
    """

    container: InputContainer
    stream: AudioStream
    sample_rate: int
    packets: int = 0
    damaged: int = 0
    seconds: float = 0.0
    longest: float = 0.0  # seconds of the longest frame
    metered: tuple[float, float] = (-math.inf, math.inf)  # seconds of the file's clock
    meter: Meter = field(default_factory=Meter)
    clock: SoundClock = field(init=False)
    _lost: bool = False  # something since the last piece did not decode

    def __post_init__(self) -> None:
        counted = self.container.format.name in COUNTED_FORMATS
        self.clock = SoundClock(self.sample_rate, counted, _priming(self.stream) if counted else 0.0)

    def __iter__(self) -> Iterator[Segment]:
        resampler: av.AudioResampler | None = None
        layout, setup = av.AudioLayout("mono"), ("", "", 0)
        for frame in self.frames():
            time = None if frame.pts is None else frame.time
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            jumps, self._lost = self.clock.jumps(time, self._lost), False
            if resampler is None or jumps or now != setup:
                if resampler is not None:
                    yield from self._pieces(resampler.resample(None), layout)
                if jumps:
                    self.clock.move(time)
                layout, setup = frame.layout, now
                resampler = av.AudioResampler(format="flt", layout=layout.name, rate=self.sample_rate)
            self._measure(frame)
            yield from self._pieces(resampler.resample(frame), layout)
        if resampler is not None:
            yield from self._pieces(resampler.resample(None), layout)

    def frames(self) -> Iterator[AudioFrame]:
        """What decodes, in the file's own format and rate."""
        if self.stream.codec_context is None:
            raise bad_audio("no decoder")
        for packet in self._packets():
            self.packets += packet.size > 0
            try:
                frames = self.stream.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError:
                self.damaged, self._lost = self.damaged + 1, True
                continue
            for frame in frames:
                if not frame.samples or not frame.sample_rate:
                    continue
                self.longest = max(self.longest, frame.samples / frame.sample_rate)
                self.seconds += frame.samples / frame.sample_rate
                yield frame

    def check(self) -> None:
        """Refuse a track of which too much did not decode. Raises `MediaError` `bad_audio`."""
        if self.damaged > DAMAGED_SHARE * max(self.packets, 1):
            raise bad_audio(f"{self.damaged} of {self.packets} packets are damaged")

    def padding(self, samples: int) -> int:
        """Samples of so many past the length that the file declares: a codec fills its last frame up, and FFmpeg decodes that."""
        if self.stream.duration is None or self.stream.time_base is None:
            return 0
        beyond = samples - round(self.stream.duration * self.stream.time_base * self.sample_rate)
        return beyond if 0 < beyond < self.longest * self.sample_rate else 0

    def _measure(self, frame: AudioFrame) -> None:
        """Look at a frame that begins at the clock's place, if it lies in what is metered."""
        assert self.clock.place is not None
        begin = self.clock.place / self.sample_rate
        if begin < self.metered[1] and begin + frame.samples / frame.sample_rate > self.metered[0]:
            self.meter.add(frame)

    def _packets(self) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise bad_audio(error) from error
            except OSError as error:
                raise reading_failed(error) from error
            if packet is None:
                return
            yield packet

    def _pieces(self, frames: list[AudioFrame], layout: av.AudioLayout) -> Iterator[Segment]:
        for frame in frames:
            samples = samples_of(frame)
            place, dropped = self.clock.take(samples.shape[1])
            if samples.shape[1] > dropped:
                yield Segment(place + dropped, layout, samples[:, dropped:])


def _priming(stream: AudioStream) -> float:
    """Seconds that the encoder put before the first sample."""
    context = stream.codec_context
    if context is None or not context.sample_rate:
        return 0.0
    return PRIMING.get(context.codec.canonical_name, 0) / context.sample_rate


def bad_audio(why: object) -> MediaError:
    """For an audio stream that is there and cannot be decoded."""
    return MediaError("bad_audio", f"the audio stream cannot be decoded ({why}); re-export the clip")


def tracks_in_order(container: InputContainer) -> list[AudioStream]:
    """The audio streams in the order in which they are tried: those that players take by default come first."""
    return sorted(container.streams.audio, key=lambda s: (not s.disposition & Disposition.default, s.index))
