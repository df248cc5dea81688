"""How loud decoded sound gets in its own channels and at its own rate, before anything is mixed or resampled."""

from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.frame import AudioFrame

# Of a frame with a plane for each channel PyAV 18 reads so many less one; behind those it reads memory that is not the frame's.
PLANES = 8
FULL_SCALE = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0, "s64": 9_223_372_036_854_775_808.0}


@dataclass(frozen=True)
class Clipping:
    """A run of `run` samples at or above `level` of full scale is no peak any more: the recording was cut off."""

    level: float = 0.985
    run: int = 3

    def count(self, samples: np.ndarray) -> int:
        """How many of `(S,)` samples lie in such runs."""
        over = np.abs(samples) >= self.level
        if not over.any():
            return 0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], over.view(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        return int(lengths[lengths >= self.run].sum())


CLIPPING = Clipping()


@dataclass
class Meter:
    """`peak` of all channels (1 is full scale) and, per channel, how many samples are clipped."""

    clipping: Clipping = CLIPPING
    peak: float = 0.0
    samples: int = 0
    _clipped: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, frame: AudioFrame) -> None:
        """Look at a decoded frame. Runs are counted within frames: one that two frames share counts in each where it is long enough."""
        channels = samples_of(frame)
        self.peak = max(self.peak, float(np.abs(channels).max(initial=0.0)))
        self.samples += channels.shape[1]
        if len(self._clipped) != len(channels):
            self._clipped = np.zeros(len(channels), np.int64) + self._clipped.max(initial=0)
        self._clipped += np.array([self.clipping.count(channel) for channel in channels], np.int64)

    @property
    def clipped_share(self) -> float:
        """Of the channel that is clipped most, in [0, 1]."""
        return float(self._clipped.max(initial=0)) / max(self.samples, 1)


def samples_of(frame: AudioFrame) -> np.ndarray:
    """`(channels, S)` float32 of a frame in any of FFmpeg's sample formats; 1 is full scale."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels >= PLANES:
        (frame,) = av.AudioResampler(frame.format.packed, frame.layout.name, frame.sample_rate).resample(frame)
    values = frame.to_ndarray()
    name = frame.format.name.removesuffix("p")
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    if name not in FULL_SCALE:
        return values.astype(np.float32)
    offset = 128.0 if name == "u8" else 0.0
    return ((values.astype(np.float64) - offset) / FULL_SCALE[name]).astype(np.float32)
