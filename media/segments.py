"""One mp4 out of parts that were encoded one after another: pictures are copied, sound is encoded through without a seam."""

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from media.encode import aac_stream, encode_samples

FRAGMENT_SECONDS = 0.1  # of a growing file; what was appended can be played but for about two of these
AAC_FRAME = 1024  # samples that the codec takes at a time; only its last frame may be shorter


class SegmentedVideo:
    """Append parts, made by `encode_clip` of frames of one size without sound; the sound follows the pictures.

    Memory holds one part. `growing` writes short fragments, so that the file can be played while it is made, from its first part on:
    fragments cut at key frames alone would hold each part back until the next one came. Without it, the file is an ordinary mp4
    with its index in front, and an edit list that makes sound and picture begin together.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        sound: np.ndarray | None,
        sample_rate: int,
        metadata: Mapping[str, str],
        growing: bool = False,
    ):
        """`sound` is `(S,)` float mono of the whole video or None; `metadata` are tags such as `comment`."""
        flags = "frag_keyframe+empty_moov+default_base_moof" if growing else "faststart"
        # Edit lists count in the movie's time scale, milliseconds unless told otherwise: too coarse for samples.
        options = {"movflags": flags, "flush_packets": "1", "movie_timescale": str(sample_rate)}
        if growing:
            options["frag_duration"] = str(round(FRAGMENT_SECONDS * 1e6))
        self._container = av.open(str(path), mode="w", format="mp4", options=options)
        self._container.metadata.update(metadata)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._sound, self._sample_rate, self._heard, self._frames = sound, sample_rate, 0, 0
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, part: bytes) -> None:
        """Add an mp4's pictures and the sound that goes with them."""
        with av.open(io.BytesIO(part), mode="r") as source:
            stream = source.streams.video[0]
            if self._video is None:
                self._video = self._container.add_stream_from_template(stream)
                if self._sound is not None:
                    self._audio = aac_stream(self._container, self._sample_rate)
            count = 0
            for packet in source.demux(stream):
                if packet.dts is None or packet.pts is None:
                    continue
                offset = round(self._frames / self._fps / packet.time_base)
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = self._video
                self._container.mux(packet)
                count += 1
        self._frames += count
        self._hear(AAC_FRAME)

    def close(self) -> None:
        """Finish the file; the sound ends with the pictures."""
        if self._audio is not None:
            self._hear(1)
            self._container.mux(self._audio.encode())
        self._container.close()

    def _hear(self, multiple: int) -> None:
        """Encode up to the end of the pictures, in whole multiples of so many samples."""
        if self._audio is None or self._sound is None:
            return
        wanted = min(round(self._frames / self._fps * self._sample_rate), len(self._sound))
        count = (wanted - self._heard) // multiple * multiple
        piece = self._sound[self._heard : self._heard + count]
        encode_samples(self._container, self._audio, piece, self._sample_rate, self._heard)
        self._heard += count
