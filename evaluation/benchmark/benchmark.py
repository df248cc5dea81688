"""A frozen set of held-out clips as generation and scoring read it, whoever is in it, one sample at a time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from evaluation.benchmark.benchmark_plan import MODES, POSED, SHUFFLED_AUDIO, SHUFFLED_POSE, SPOKEN
from media.user_error import UserError


class BenchmarkError(UserError, ValueError):
    """A benchmark that cannot be built or read; the message says what to change."""


@dataclass(frozen=True)
class BenchmarkSample:
    """One held-out window of T frames: what a model is given, and what was there.

    Attributes:
        name: within its benchmark.
        caption: a sentence; may be empty.
        frames: `(T, H, W, 3)` uint8, the window itself.
        reference: `(H, W, 3)` uint8, a frame of the same person, outside the window where the clip has one.
        audio: `(S,)` float32 at the benchmark's `sample_rate`, the window's sound; None where it has none.
        keypoints: `(T, 133, 3)` float32, x and y in pixels of `frames` and confidence; None where nobody was found.
    """

    name: str
    caption: str
    frames: Tensor
    reference: Tensor
    audio: Tensor | None
    keypoints: Tensor | None


class Benchmark(ABC):
    """N samples. `names` and `captions` are N each; `digest` is a sha256 (64 hex digits) of everything in it.

    `modes` are those of generation that its samples are ever asked of.
    """

    modes: ClassVar[tuple[str, ...]] = MODES
    name: str
    names: tuple[str, ...]
    captions: tuple[str, ...]
    fps: float
    sample_rate: int
    digest: str

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def sample(self, clip: int) -> BenchmarkSample:
        """One sample, by number."""

    @abstractmethod
    def shape(self, clip: int) -> tuple[int, int, int]:
        """T, H, W of a sample, without reading its pixels."""

    @abstractmethod
    def heard(self, clip: int) -> bool:
        """Whether it has sound."""

    @abstractmethod
    def posed(self, clip: int) -> bool:
        """Whether it has keypoints."""

    def driven_by(self, mode: str) -> tuple[int, ...]:
        """Numbers of the samples that a mode of generation can be asked of: those that have what it gives."""
        if mode not in self.modes:
            return ()
        has = {**dict.fromkeys(POSED, self.posed), **dict.fromkeys(SPOKEN, self.heard)}.get(mode)
        clips = tuple(clip for clip in range(len(self)) if has is None or has(clip))
        if mode == SHUFFLED_POSE:
            shapes = [self.shape(clip) for clip in clips]
            return tuple(clip for clip, shape in zip(clips, shapes, strict=True) if shapes.count(shape) > 1)
        return () if mode == SHUFFLED_AUDIO and len(clips) < 2 else clips
