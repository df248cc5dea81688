"""`python -m benchmarks.generation.streaming [HOME]`: what a stream costs beside segments, in CPU seconds of one run, and what it holds in memory.

Without a home the networks have the laptop profile's size and random weights, which cost what trained ones cost. Seconds of the processor and not of
the clock: other work on the machine moves the clock alone.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from media.records import ProductRecord
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.long_video import LongVideo, generate_segments
from omnihuman.pipeline import build_pipeline
from omnihuman.streaming.attention import Memory
from omnihuman.streaming.causal import CausalTransformer
from omnihuman.streaming.conditions import first_frame_heard
from omnihuman.streaming.decoder import StreamDecoder
from omnihuman.streaming.settings import Streaming
from omnihuman.streaming.stream import TalkingStream
from profiles import load_profile
from training.stages.model import build_transformer

PIECE = 16_000  # samples of sound that are given at a time
ROUNDS = 3


def processor_seconds(work: Callable[[], Any]) -> float:
    """Of this process, all threads."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


class Bench:
    """A pipeline of the laptop's size, a person and a sound of silence and noise."""

    def __init__(self, home: Path | None = None):
        profile = load_profile("laptop")
        self.streaming = Streaming()
        student: Any = build_transformer(profile, None, 0)
        if home is not None:
            folder = home / "data" / "streaming_student"
            student, self.streaming = (
                folder / "transformer",
                Streaming(**ProductRecord.read(folder).require("streaming")),
            )
        self.pipeline = build_pipeline(profile, student, 1, self.streaming.record())
        generator = torch.Generator().manual_seed(0)
        self.image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator)
        self.voice = 0.1 * torch.randn(1, PIECE, generator=generator)

    def stream(self) -> TalkingStream:
        """At its beginning."""
        generator = torch.Generator().manual_seed(0)
        return TalkingStream(
            self.pipeline, self.image, ["A person talks."], generator, 64, 64, streaming=self.streaming
        )

    def seconds(self, stream: TalkingStream, seconds: float) -> None:
        """Go on for so long."""
        until = stream.frames + round(seconds * self.pipeline.config.fps)
        while stream.frames < until:
            while stream.missing_samples:
                stream.hear(self.voice)
            stream.make()

    def segments(self, seconds: float) -> None:
        """The same by segments that overlap."""
        frames = round(seconds * self.pipeline.config.fps)
        sound = self.voice.repeat(1, 1 + int(seconds))
        video = LongVideo(["A person talks."], self.image, sound, {}, frames, 17, [0], 64, 64)
        for _ in generate_segments(self.pipeline, video):
            pass

    def bare(self, seconds: float) -> None:
        """Passes and decoding of as many latents, on sound that is encoded already."""
        person = self.pipeline.encode_person(["A person talks."], self.image)
        config = self.pipeline.transformer.config
        states = torch.randn(1, 13, config.audio_layers, config.audio_dim)
        causal, decoder = CausalTransformer(self.pipeline.transformer, self.streaming), StreamDecoder(self.pipeline.vae)
        memory, last = Memory(), torch.zeros(1, 16, 0, 8, 8)
        with torch.no_grad():
            for latent in range(1 + round(seconds * self.pipeline.config.fps) // 4):
                heard = states[:, : 4 * latent + 1 + self.streaming.lookahead - first_frame_heard(latent)]
                given = ConditionInputs(person.text, person.reference, heard)
                last, memory = causal(torch.randn(1, 16, 1, 8, 8), last, given, latent, memory)
                decoder.decode(last)


def main() -> None:
    """A minute on one core."""
    torch.set_num_threads(1)
    bench = Bench(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    long = bench.stream()
    first = processor_seconds(lambda: bench.seconds(long, 1 / bench.pipeline.config.fps))
    bench.seconds(long, 4), bench.segments(4), bench.bare(4)
    ways = {
        "stream": lambda: bench.seconds(bench.stream(), 8),
        "segments": lambda: bench.segments(8),
        "bare": lambda: bench.bare(8),
    }
    best = {name: min(processor_seconds(work) for _ in range(ROUNDS)) / 8 for name, work in ways.items()}
    print(f"first picture after its sound is in, first of the process: {first:.3f} CPU s")
    again = bench.stream()
    print(f"the same of a second stream: {processor_seconds(lambda: bench.seconds(again, 1 / 16)):.3f} CPU s")
    for name, seconds in best.items():
        print(f"{name:>9}: {seconds:.4f} CPU s for a second of video, {1 / seconds:.1f} times real time on one core")
    print(f"stream / bare passes and decoding: {best['stream'] / best['bare']:.3f}")
    print(f"frames a second, stream / segments: {best['segments'] / best['stream']:.3f}")
    held = []
    for seconds in (20 - 4, 580):
        bench.seconds(long, seconds)
        held.append(_resident())
    print(
        f"memory after 20 s {held[0]:.1f} MiB, after 600 s {held[1]:.1f} MiB: {held[1] / held[0] - 1:+.2%}; the model's own memory {long._memory.bytes() / 2**20:.2f} MiB"
    )
    print(f"most that the process held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
