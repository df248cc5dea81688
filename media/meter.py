"""How loud decoded sound gets in its own channels and at its own rate, before anything is mixed or resampled."""

from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.frame import AudioFrame

# A run of three samples this near to full scale is no peak any more: the recording was cut off.
CLIPPED_LEVEL, CLIPPED_RUN = 0.985, 3
# Of a frame with a plane for each channel PyAV 18 reads so many less one; behind those it reads memory that is not the frame's.
PLANES = 8
FULL_SCALE = {"u8": 128.0, "s16": 32_768.0, "s32": 2_147_483_648.0, "s64": 9_223_372_036_854_775_808.0}


@dataclass
class Meter:
    """`peak` of all channels (1 is full scale) and, per channel, how many samples lie in runs at full scale."""

    peak: float = 0.0
    samples: int = 0
    _clipped: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, frame: AudioFrame) -> None:
        """Look at a decoded frame. Runs are counted within frames: one that two frames share counts from three on in each."""
        channels = samples_of(frame)
        self.peak = max(self.peak, float(np.abs(channels).max(initial=0.0)))
        self.samples += channels.shape[1]
        if len(self._clipped) != len(channels):
            self._clipped = np.zeros(len(channels), np.int64) + self._clipped.max(initial=0)
        self._clipped += np.array([clipped_samples(channel) for channel in channels], np.int64)

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


def clipped_samples(channel: np.ndarray) -> int:
    """How many of `(S,)` samples lie in runs of `CLIPPED_RUN` at or above `CLIPPED_LEVEL`."""
    over = np.abs(channel) >= CLIPPED_LEVEL
    if not over.any():
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], over.view(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= CLIPPED_RUN].sum())
