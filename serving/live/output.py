"""Pictures and sound as they go out: fragments of one MP4, single pictures, or what tracks are encoded from."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from media.encode import Converter, aac_stream, audio_packets, tag_colours
from media.segments import AAC_FRAME
from media.speech.level import RATE

JPEG_QUALITY = 90
TRACK_RATE = 48_000  # Opus' own
# No picture waits for a later one; a second is the farthest that a player has to go back.
LIVE = {"preset": "veryfast", "tune": "zerolatency", "crf": "18", "bf": "0", "threads": "1"}


class Output(Protocol):
    """One session's pictures on their way out."""

    def add(self, pictures: np.ndarray, sound: np.ndarray) -> Sequence[tuple[Any, int]]:
        """Messages, and how many pictures are in each, for `(T, H, W, 3)` uint8 and the `(S,)` samples that go with them."""

    def finish(self) -> Sequence[tuple[Any, int]]:
        """What is left."""


class _Pipe(io.RawIOBase):
    """Where the container writes; it is never read back and never sought."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """All since the last time."""
        taken, self._written = bytes(self._written), bytearray()
        return taken


class FragmentedMp4:
    """H.264 and AAC in fragments that a browser's MediaSource takes as they come: one for each call, with all of its pictures.

    FFmpeg's muxer ends a fragment when the next packet comes, a latent later. So each fragment has a muxer of its own, which is closed at once; the
    encoders go on, and of every file but the first the part that says what the streams are is left out.
    """

    def __init__(self, fps: float, title: str):
        self._fps, self._title = Fraction(fps).limit_denominator(1001), title
        self._pipe = _Pipe()
        self._encoders = self._open(self._pipe, 1)  # holds the encoders, and is never written to
        self._frames = self._heard = self._fragments = 0
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._waiting, self._converter = np.zeros(0, np.float32), Converter()

    def add(self, pictures: np.ndarray, sound: np.ndarray) -> list[tuple[bytes, int]]:
        """One message for all of them."""
        if self._video is None:
            self._begin(pictures.shape[1], pictures.shape[2])
        assert self._video is not None
        packets = self._encoded(sound, AAC_FRAME)
        for image in pictures:
            picture = self._converter.convert(image, "yuv420p", self._colours)
            picture.pts, picture.time_base = self._frames, 1 / self._fps
            packets += self._video.encode(picture)
            self._frames += 1
        return [(self._fragment(packets), len(pictures))]

    def finish(self) -> list[tuple[bytes, int]]:
        """The end of the sound."""
        if self._video is None or self._audio is None:
            return []
        packets = [*self._encoded(np.zeros(0, np.float32), 1), *self._video.encode(), *self._audio.encode()]
        left = [(self._fragment(packets), 0)] if packets else []
        self._encoders.close()  # else they are held until Python looks for cycles: 75 MB of a few sessions
        return left

    def _open(self, pipe: _Pipe, number: int) -> Any:
        flags = "empty_moov+default_base_moof+frag_discont+skip_trailer"
        options = {"movflags": flags, "fragment_index": str(number), "avoid_negative_ts": "disabled"}
        container = av.open(pipe, "w", format="mp4", options=options)  # type: ignore[call-overload]
        container.metadata.update({"title": self._title})
        return container

    def _begin(self, height: int, width: int) -> None:
        self._video = self._encoders.add_stream("libx264", rate=self._fps, options=LIVE | {"g": str(round(self._fps))})
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._colours = tag_colours(self._video)
        self._audio = aac_stream(self._encoders, RATE)
        self._encoders.start_encoding()
        self._pipe.take()

    def _encoded(self, sound: np.ndarray, least: int) -> list[Any]:
        """Packets of whole AAC frames; the rest waits, unless `least` is 1."""
        assert self._audio is not None
        sound = np.concatenate([self._waiting, sound])
        count = len(sound) if least == 1 else len(sound) // least * least
        packets = audio_packets(self._audio, sound[:count], RATE, self._heard) if count else []
        self._heard, self._waiting = self._heard + count, sound[count:]
        # What the codec puts before the beginning would need a time before 0, which a fragment cannot say.
        return [packet for packet in packets if packet.pts is not None and packet.pts >= 0]

    def _fragment(self, packets: list[Any]) -> bytes:
        pipe = _Pipe()
        self._fragments += 1
        with self._open(pipe, self._fragments) as container:
            streams = {id(one): container.add_stream_from_template(one) for one in (self._video, self._audio)}
            for packet in packets:
                packet.stream = streams[id(packet.stream)]
                container.mux(packet)
        data = pipe.take()
        return data if self._fragments == 1 else data[_head(data) :]


def _head(data: bytes) -> int:
    """Where the boxes `ftyp` and `moov` end."""
    at = 0
    while data[at + 4 : at + 8] in (b"ftyp", b"moov"):
        at += int.from_bytes(data[at : at + 4], "big")
    return at


class Pictures:
    """Each picture a file of its own; without sound, which the client has."""

    def __init__(self, kind: str):
        """`kind`: jpeg or png."""
        self._kind = kind

    def add(self, pictures: np.ndarray, sound: np.ndarray) -> list[tuple[bytes, int]]:
        """A message for each."""
        return [(data, 1) for data in self._encoded(pictures)]

    def finish(self) -> list[tuple[bytes, int]]:
        """Nothing is left."""
        return []

    def _encoded(self, pictures: np.ndarray) -> Iterator[bytes]:
        import cv2

        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if self._kind == "jpeg" else []
        for image in pictures:
            done, data = cv2.imencode(f".{self._kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
            assert done, f"OpenCV writes no {self._kind}"
            yield data.tobytes()


@dataclass(frozen=True)
class Piece:
    """What a latent became, for tracks.

    Attributes:
        pictures: frames of yuv420p, BT.601 and limited range, as decoders of WebRTC take them where nothing is said.
        sound: `(S,)` int16 at `TRACK_RATE`, mono.
    """

    pictures: list[av.VideoFrame]
    sound: np.ndarray


class Pieces:
    """Pictures and sound as they are, to be encoded by whoever sends them."""

    def __init__(self) -> None:
        self._resampler, self._converter = av.AudioResampler(format="s16", layout="mono", rate=TRACK_RATE), Converter()

    def add(self, pictures: np.ndarray, sound: np.ndarray) -> list[tuple[Piece, int]]:
        """One message for all of them."""
        frames = [self._converter.convert(image, "yuv420p", Colorspace.ITU601) for image in pictures]
        return [(Piece(frames, self._resampled(sound)), len(frames))]

    def finish(self) -> list[tuple[Piece, int]]:
        """The last samples, which the resampler held."""
        return [(Piece([], _samples(self._resampler.resample(None))), 0)]

    def _resampled(self, sound: np.ndarray) -> np.ndarray:
        if not len(sound):
            return np.zeros(0, np.int16)
        whole = (sound * 2.0**15).round().clip(-(2**15), 2**15 - 1).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        return _samples(self._resampler.resample(frame))


def _samples(frames: Sequence[av.AudioFrame]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0] for frame in frames)])


def output_of(kind: str, fps: float, title: str) -> Output:
    """By the name that a client gives."""
    if kind == "rtp":
        return Pieces()
    return FragmentedMp4(fps, title) if kind == "m4s" else Pictures(kind)
