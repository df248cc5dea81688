"""What the demo puts into the inbox: puppets or rendered people, and files that cannot be used."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

import people
import puppets
from media import encode_clip, write_atomically
from media.user_error import UserError
from profiles.schema import DemoConfig, VideoConfig

K = TypeVar("K", bound=str)


class DemoCorpusError(UserError, ValueError):
    """A corpus that cannot be rendered; the message names the key to change."""


@dataclass(frozen=True)
class PuppetFile:
    """One puppet to render."""

    seed: int
    kind: str
    frames: int

    @property
    def name(self) -> str:
        """File name in the inbox."""
        return f"p{self.seed:07d}-{self.kind}.mp4"

    def write(self, folder: Path) -> None:
        """As `render_puppet`."""
        render_puppet(self, folder)


@dataclass(frozen=True)
class PersonFile:
    """One clip of a rendered person, `size` x `size` pixels."""

    seed: int
    kind: people.Kind
    frames: int
    size: int

    @property
    def name(self) -> str:
        """File name in the inbox."""
        return f"h{self.seed:07d}-{self.kind}.mp4"

    def write(self, folder: Path) -> None:
        """Sidecar and mp4, the sidecar first."""
        made = people.render(self.seed, self.kind, self.frames, self.size)
        _write(folder / self.name, made.sidecar(), encode_clip(made.frames, made.fps, made.audio))


RenderedFile = PuppetFile | PersonFile


def corpus(demo: DemoConfig, video: VideoConfig) -> list[RenderedFile]:
    """Clean clips first, then those that each break one rule; every clip has a seed of its own.

    Raises:
        DemoCorpusError: people cannot be rendered in this picture or at this length.
    """
    if demo.world == "people":
        size = people_size(video)
        if demo.frames % 4 != 1:
            raise DemoCorpusError(
                f"demo.frames is {demo.frames}, and a clip of a rendered person has 4n + 1: set 25, say"
            )
        return [
            PersonFile(demo.seed + place, kind, demo.frames, size)
            for place, kind in enumerate(_kinds(demo, people.KINDS))
        ]
    return [PuppetFile(demo.seed + place, kind, demo.frames) for place, kind in enumerate(_kinds(demo, puppets.KINDS))]


def corpus_seeds(demo: DemoConfig) -> range:
    """All seeds of `corpus`."""
    kinds = people.KINDS if demo.world == "people" else puppets.KINDS
    return range(demo.seed, demo.seed + len(_kinds(demo, kinds)))


def people_size(video: VideoConfig) -> int:
    """Side in pixels of the square picture that people are rendered in: the main bucket's.

    Raises:
        DemoCorpusError: it is not square.
    """
    if video.height != video.width:
        raise DemoCorpusError(
            f"rendered people come in square pictures, and the profile's are {video.width} wide and {video.height} high: set video.width to "
            f"{video.height}, or leave rendered people out of demo.world and evaluation.benchmarks"
        )
    return video.height


def render_puppet(puppet: PuppetFile, folder: Path) -> None:
    """Write sidecar and mp4, the sidecar first: a clip is never seen without its caption."""
    made = puppets.render(puppet.seed, puppet.kind, puppet.frames)
    _write(folder / puppet.name, made.sidecar(), encode_clip(made.frames, made.fps, made.audio))


def _write(path: Path, sidecar: bytes, clip: bytes) -> None:
    write_atomically(path.with_name(path.name + ".json"), sidecar)
    write_atomically(path, clip)


def _kinds(demo: DemoConfig, kinds: tuple[K, ...]) -> list[K]:
    """Of each clip."""
    clean, *broken = kinds
    return [clean] * demo.clean + [kind for kind in broken for _ in range(demo.broken_per_kind)]


def unusable_files(demo: DemoConfig) -> dict[str, bytes]:
    """Names and bytes of files that quarantine must catch, one of each way to be unusable."""
    puppet = puppets.render(demo.seed, "clean", demo.frames)
    sound = np.asarray(puppet.audio)
    whole = encode_clip(puppet.frames, puppet.fps, sound)
    first = encode_clip(puppet.frames[:5], puppet.fps, sound[: round(5 / puppet.fps * 16_000)])
    return {
        "truncated.mp4": whole[: len(whole) // 2],
        "text.mp4": b"This is a shopping list, not a video.\n",
        "zero-bytes.mp4": b"",
        "sound-only.mp4": sound_only(sound),
        "too-short.mp4": first,
    }


def sound_only(audio: np.ndarray) -> bytes:
    """An mp4 with one AAC stream and no picture, of `(S,)` samples at 16 kHz."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, len(audio), 1024):
            chunk = np.ascontiguousarray(audio[None, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()
