"""What is heard of a file: the track that players would take or the first that is not silent, as one channel, on the file's clock."""

import math
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer

from media.audio.downmix import Downmix
from media.audio.meter import CLIPPING, Clipping, Meter
from media.audio.sound import Segment, SoundStream, tracks_in_order
from media.containers import MediaError, NotSeekable, Source, Span, go_to, open_media, video_stream
from media.pictures import FrameStream

# Going to a key frame costs about as much as decoding so many seconds.
SEEK_SECONDS = 4.0
# Below -60 dB of full scale a track is silent: dither and the noise of a closed microphone, but no voice.
SILENT_PEAK = 1e-3
ANY_RATE = 16_000
# Changes with anything that gives a file another sound.
HEARING = "by-its-own-times-1"


@dataclass(frozen=True)
class Sound:
    """One audio stream as it was heard.

    Attributes:
        codec, channels, sample_rate: the file's own.
        seconds: of decoded samples.
        end: when the last one is heard, in seconds of the file's clock.
        track, tracks: its place among the file's audio streams from 0, and how many there are.
        choice: why this one: `only`, `default`, `first`, `sounding` where those before it are silent or do not decode, or `told`.
        channel: `mix`, or the name of the one channel that the mix would have lost.
        peak: the largest sample of any channel; 1 is full scale.
        clipped_share: share of the most clipped channel's samples that lie in runs at full scale, before any mixing.
        filled_seconds: silence where the track has gaps.
        damaged_packets: packets that did not decode.
    """

    codec: str
    channels: int
    sample_rate: int
    seconds: float
    end: float
    track: int
    tracks: int
    choice: str
    channel: str
    peak: float
    clipped_share: float
    filled_seconds: float
    damaged_packets: int


@dataclass
class Stretch:
    """What is kept of a track: `(S,)` samples from `start` seconds of the file's clock (None: its first sample) for `seconds`
    (None: to its end), with `exact` padded to just that length. Nothing is kept with `keep` false, and it is still heard."""

    sample_rate: int
    start: float | None = None
    seconds: float | None = None
    keep: bool = True
    exact: bool = False
    elsewhere: bool = False  # the file has sound, if not here
    track: int | None = None  # the only one that is tried
    clipping: Clipping = CLIPPING

    def listen(self, container: InputContainer, number: int) -> tuple[Sound, np.ndarray] | None:
        """The track that is tried as `number`; None where it has no sample."""
        stream = tracks_in_order(container)[number] if self.track is None else container.streams.audio[self.track]
        meter, mix = Meter(self.clipping), Downmix()
        pieces = SoundStream(container, stream, self.sample_rate, meter=meter)
        origin = None if self.start is None else round(self.start * self.sample_rate)
        length = None if self.seconds is None else round(self.seconds * self.sample_rate)
        if self.start is not None:
            pieces.metered = self.start, math.inf if self.seconds is None else self.start + self.seconds
        segments: list[Segment] = []
        for segment in pieces:
            origin = segment.start if origin is None else origin
            if length is not None and segment.start - origin >= length:
                break
            if segment.start + segment.samples.shape[1] <= origin:
                continue
            mix.hear(segment.samples, segment.layout)
            if self.keep:
                segments.append(segment)
        pieces.check()
        if not pieces.seconds and not self.elsewhere:
            return None
        context, tracks = stream.codec_context, container.streams.audio
        sound = Sound(
            codec=context.name,
            channels=context.channels,
            sample_rate=context.sample_rate,
            seconds=pieces.seconds,
            end=(pieces.clock.place or 0) / self.sample_rate,
            track=tracks.index(stream),
            tracks=len(tracks),
            choice="told" if self.track is not None else _choice(number, len(tracks), moved=stream is not tracks[0]),
            channel=mix.taken(),
            peak=meter.peak,
            clipped_share=meter.clipped_share,
            filled_seconds=pieces.clock.filled / self.sample_rate,
            damaged_packets=pieces.damaged,
        )
        if self.exact:
            return sound, _laid_out(segments, mix, origin or 0, length)
        samples = _laid_out(segments, mix, origin or 0, None)[:length]
        return sound, samples[: len(samples) - pieces.padding(len(samples))]


def _laid_out(segments: list[Segment], mix: Downmix, origin: int, length: int | None) -> np.ndarray:
    """`(length,)` float32 with every segment at its place, silence elsewhere."""
    end = max((s.start + s.samples.shape[1] for s in segments), default=origin)
    wanted = np.zeros(max(0, end - origin) if length is None else length, np.float32)
    for segment in segments:
        samples, place = mix.apply(segment.samples, segment.layout), segment.start - origin
        left, right = max(0, -place), min(len(samples), len(wanted) - place)
        if right > left:
            wanted[place + left : place + right] = samples[left:right]
    return wanted


def _choice(number: int, tracks: int, moved: bool) -> str:
    if tracks == 1:
        return "only"
    return "sounding" if number else "default" if moved else "first"


def first_sounding(source: Source, stretch: Stretch, seek: float | None = None) -> tuple[Sound, np.ndarray] | None:
    """The first track, in the order of `tracks_in_order`, that decodes and is not silent, else the first that decodes.

    Raises:
        MediaError: `bad_audio` where no track decodes.
    """
    silent: tuple[Sound, np.ndarray] | None = None
    refused: MediaError | None = None
    number, count = 0, 1
    while number < count:
        with open_media(source) as container:
            count = len(container.streams.audio) if stretch.track is None else 1
            if not container.streams.audio:
                return None
            try:
                if seek is not None:
                    go_to(container, seek)
                heard = stretch.listen(container, number)
            except NotSeekable:
                seek = None
                continue
            except MediaError as error:
                refused, heard = refused or error, None
        if heard is not None and heard[0].peak > SILENT_PEAK:
            return heard
        silent, number = silent or heard, number + 1
    if silent is None and refused is not None:
        raise refused
    return silent


def sound_of_span(
    source: Source, sample_rate: int, start: float, seconds: float, clipping: Clipping = CLIPPING
) -> tuple[Sound, np.ndarray] | None:
    """Sound cut or padded with silence so that it covers exactly `seconds` from `start` of the file's clock.

    None for a file without a sample of sound.
    """
    sought = isinstance(source, Span) and start > SEEK_SECONDS
    track = source.track if isinstance(source, Span) else None
    stretch = Stretch(sample_rate, start, seconds, exact=True, elsewhere=sought, track=track, clipping=clipping)
    return first_sounding(source, stretch, start - 1.0 if sought else None)


def probe_sound(source: Source) -> Sound | None:
    """Decode the sound of a whole file and keep nothing; None without a stream or without a single sample in it.

    Raises:
        MediaError: `bad_audio` where there is sound and no track of it decodes.
    """
    heard = first_sounding(source, Stretch(ANY_RATE, keep=False))
    return None if heard is None else heard[0]


def read_audio(source: Source, sample_rate: int = 16_000, max_seconds: float | None = None) -> np.ndarray:
    """A sound or video file, or a part of one, as `(S,)` float32, one channel at `sample_rate`, decoded up to `max_seconds`.

    A film's sound begins at its first picture, so that sound and pictures of one file share a clock whoever reads which; a
    sound file begins at its first sample. Samples past the length that the file declares, with which a codec fills its last
    frame up, are left out.

    Raises:
        MediaError: no audio stream, or none that can be decoded.
    """
    with open_media(source) as container:
        if not container.streams.audio:
            raise MediaError("no_audio", "the file has no audio stream; give a sound file or a video with sound")
        start = _first_picture(container)
    part = source if isinstance(source, Span) else Span(b"", 0.0, math.inf)
    length = min(part.end - part.start, math.inf if max_seconds is None else max_seconds)
    # Heard from the beginning: only so is it known what at the end is the codec's.
    most = None if math.isinf(length) else part.start + length
    heard = first_sounding(source, Stretch(sample_rate, start, most, track=part.track))
    first = round(part.start * sample_rate)
    return np.zeros(0, np.float32) if heard is None else heard[1][first:]


def _first_picture(container: InputContainer) -> float | None:
    """When the film's first picture is shown, in seconds of the file's clock; None for a file of sound alone."""
    try:
        stream = video_stream(container)
        return next(iter(FrameStream(container, stream)))[0]
    except (MediaError, StopIteration):
        return None  # covers and pictures that cannot be decoded: then the sound has the clock for itself
