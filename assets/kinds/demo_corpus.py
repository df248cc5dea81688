"""What the demo puts into the inbox: puppets, files that cannot be used, and clips of real people."""

import io
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from media import encode_clip, write_atomically
from profiles.schema import DemoConfig
from puppets import KINDS, render


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


def corpus(demo: DemoConfig) -> list[PuppetFile]:
    """Clean puppets first, then those that each break one rule; every clip has a seed of its own."""
    kinds = ["clean"] * demo.clean + [kind for kind in KINDS if kind != "clean" for _ in range(demo.broken_per_kind)]
    return [PuppetFile(demo.seed + place, kind, demo.frames) for place, kind in enumerate(kinds)]


def corpus_seeds(demo: DemoConfig) -> range:
    """All seeds of `corpus`."""
    return range(demo.seed, demo.seed + len(corpus(demo)))


def render_puppet(puppet: PuppetFile, folder: Path) -> None:
    """Write sidecar and mp4, the sidecar first: a clip is never seen without its caption."""
    cv2.setNumThreads(1)
    made = render(puppet.seed, puppet.kind, puppet.frames)
    path = folder / puppet.name
    write_atomically(path.with_name(path.name + ".json"), made.sidecar())
    write_atomically(path, encode_clip(made.frames, made.fps, made.audio))


def unusable_files(demo: DemoConfig) -> dict[str, bytes]:
    """Names and bytes of files that quarantine must catch, one of each way to be unusable."""
    puppet = render(demo.seed, "clean", demo.frames)
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
