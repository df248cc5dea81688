"""Small films and sound files whose every burst of sound has a known time, in any container and codec."""

import io
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition
from scipy.signal import resample_poly

WANTED_RATE = 16_000
PICTURE_CODECS = {"avi": "mpeg4", "webm": "libvpx", "mpeg": "mpeg2video"}
BURST, EVERY, FIRST = 0.05, 0.4, 0.1


@dataclass(frozen=True)
class SoundFile:
    """A file's bytes and the sound `(S,)` that was encoded into it at `rate`."""

    data: bytes
    sound: np.ndarray
    rate: int


def bursts(seconds: float = 3.0, rate: int = 48_000) -> np.ndarray:
    """`(S,)` float32: a burst of noise every 0.4 s, silence between."""
    rng, sound = np.random.default_rng(0), np.zeros(int(seconds * rate), np.float32)
    for time in burst_times(seconds):
        burst = np.convolve(rng.standard_normal(int(BURST * rate)), np.ones(12) / 12, "same")
        sound[int(time * rate) : int(time * rate) + len(burst)] = 0.7 * burst / np.abs(burst).max()
    return sound


def burst_times(seconds: float) -> np.ndarray:
    return np.arange(FIRST, seconds - 0.2, EVERY)


def sound_file(
    container: str,
    codec: str,
    rate: int = 48_000,
    gap: tuple[float, float] | None = None,
    late: float = 0.0,
    film: bool = True,
    layout: str = "mono",
    sound: np.ndarray | None = None,
    muxer: dict[str, str] | None = None,
    frames: np.ndarray | None = None,
    pictures: str = "",
) -> SoundFile:
    """A file of 3 s, or as long as `frames`.

    Args:
        container, codec: FFmpeg's names.
        rate: of the sound, in Hz.
        gap: seconds between which no packet of sound is written.
        late: seconds by which sound begins after the pictures.
        film: with pictures.
        layout: of the sound; `sound` is `(S,)` or `(channels, S)`.
        sound: instead of `bursts()`.
        muxer: options.
        frames: `(T, H, W, 3)` uint8 at 16 a second, instead of flat ones.
        pictures: their codec.
    """
    sound = bursts(3.0 if frames is None else len(frames) / 16, rate) if sound is None else sound
    channels = sound if sound.ndim == 2 else sound[None]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=muxer or {}) as output:
        codec_of_pictures = pictures or PICTURE_CODECS.get(container, "libx264")
        shown = flat_pictures(channels.shape[1] / rate) if frames is None else frames
        packets = _pictures(output, codec_of_pictures, shown) if film else []
        stream = output.add_stream(codec, rate=rate, layout=layout)
        for packet in _encoded(stream, channels, rate, layout):
            time = float(packet.pts * packet.time_base)
            if gap is not None and gap[0] <= time < gap[1]:
                continue
            packet.pts += int(late / packet.time_base)
            packet.dts += int(late / packet.time_base)
            packets.append(packet)
        for packet in sorted(packets, key=lambda p: float((p.pts if p.dts is None else p.dts) * p.time_base)):
            output.mux(packet)
    return SoundFile(buffer.getvalue(), channels.mean(axis=0), rate)


def film_with_tracks(frames: np.ndarray, *sounds: np.ndarray, default: int | None = None) -> SoundFile:
    """A film in Matroska, 16 frames a second, with tracks of `(S,)` sound at 16 kHz; the flag stands on one of them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        packets = _pictures(output, "libx264", frames)
        for number, samples in enumerate(sounds):
            stream = output.add_stream("pcm_s16le", rate=WANTED_RATE, layout="mono")
            stream.disposition = Disposition.default if number == default else Disposition(0)
            packets += _encoded(stream, samples[None], WANTED_RATE, "mono")
        for packet in sorted(packets, key=lambda p: float((p.pts if p.dts is None else p.dts) * p.time_base)):
            output.mux(packet)
    return SoundFile(buffer.getvalue(), bursts(len(frames) / 16, WANTED_RATE), WANTED_RATE)


def flat_pictures(seconds: float) -> np.ndarray:
    """`(T, 64, 64, 3)` uint8, each of another grey."""
    levels = 5 * np.arange(int(seconds * 16)) % 250
    return np.broadcast_to(levels[:, None, None, None], (len(levels), 64, 64, 3)).astype(np.uint8)


def _pictures(output, codec: str, frames: np.ndarray) -> list:
    stream = output.add_stream(codec, rate=16)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.options = {"threads": "1"} | ({} if codec.startswith("lib") else {"qmin": "2", "qmax": "3"})
    packets = []
    for number, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 16)
        packets += stream.encode(frame)
    return packets + stream.encode()


def _encoded(stream, channels: np.ndarray, rate: int, layout: str) -> list:
    to_codec = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate)
    packets = []
    for start in range(0, channels.shape[1], 1024):
        piece = np.ascontiguousarray(channels[:, start : start + 1024].T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout if len(channels) > 1 else "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for converted in to_codec.resample(frame):
            packets += stream.encode(converted)
    for converted in to_codec.resample(None):
        packets += stream.encode(converted)
    return packets + stream.encode(None)


def with_damaged_packet(file: SoundFile, after: float = 1.0, head: int = 0) -> SoundFile:
    """The same file with other bytes in a packet of its sound after so many seconds, but for the first `head` bytes of it."""
    with av.open(io.BytesIO(file.data)) as container:
        packets = [(p.time_base * (p.pts or 0), bytes(p)) for p in container.demux(audio=0) if p.size]
    noise = np.random.default_rng(1)
    for time, packet in packets:
        # A transport stream cuts packets in pieces; silence repeats.
        start = packet if packet in file.data else packet[:150]
        if time >= after and len(start) > 20 and file.data.count(start) == 1:
            place, length = file.data.index(start) + head, len(start) - head
            broken = b"\xff" * length if not head else noise.integers(0, 256, length, np.uint8).tobytes()
            return SoundFile(file.data[:place] + broken + file.data[place + length :], file.sound, file.rate)
    raise ValueError("no packet that stands in the file once")


def errors_ms(
    heard: np.ndarray, file: SoundFile, late: float = 0.0, gap: tuple[float, float] | None = None
) -> np.ndarray:
    """By how many milliseconds each burst of `(S,)` at 16 kHz stands away from its place, looked for 250 ms to both sides."""
    true, errors = resample_poly(file.sound, WANTED_RATE, file.rate), []
    for time in burst_times(len(file.sound) / file.rate):
        inside = gap is not None and gap[0] - 0.1 < time < gap[1] + 0.1
        if inside or time + late + BURST > len(heard) / WANTED_RATE:
            continue
        first, last = int((time - 0.01) * WANTED_RATE), int((time + BURST + 0.01) * WANTED_RATE)
        shift = int(late * WANTED_RATE)
        left = max(0, first + shift - 4000)
        found = np.correlate(heard[left : last + shift + 4000], true[first:last], "valid")
        errors.append((int(np.argmax(found)) + left - first - shift) / WANTED_RATE * 1000)
    return np.array(errors)
