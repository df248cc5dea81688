"""Known damage to real clips: what every metric must notice, in the right order, before it may judge anybody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from evaluation.baselines.samples import SAMPLE_RATE, Sample, Samples
from media import encode_clip
from media.framing import crop_to

NONE = "none"
SHIFT = 4  # frames; a quarter of a second at 16 per second

Damage = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a clip and the next sample's clip, `(T, H, W, 3)` uint8 each, to the damaged clip of the same shape."""


def _blurred(strength: float) -> Damage:
    """Strength in shares of the picture's height, so that small and large pictures suffer alike."""

    def damage(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.stack([cv2.GaussianBlur(f, (0, 0), strength * frames.shape[1]) for f in frames])

    return damage


def _noisy(level: float) -> Damage:
    def damage(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, level, frames.shape)
        return _to_uint8(frames + noise)

    return damage


def _shifted(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.roll(frames, SHIFT, axis=0)


def _shuffled(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    return frames[np.random.default_rng(0).permutation(len(frames))]


def _swapped(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The next sample's clip: another person, pose and time."""
    return _like(other, frames)


def _swapped_midway(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    half = len(frames) // 2
    return np.concatenate([frames[:half], _like(other, frames)[half:]])


def _frozen(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.repeat(frames[:1], len(frames), axis=0)


def _flickering(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    gain = np.random.default_rng(0).uniform(0.85, 1.15, len(frames))
    return _to_uint8(frames * gain[:, None, None, None])


def _fading(frames: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _to_uint8(frames * np.linspace(1.0, 0.7, len(frames))[:, None, None, None])


DAMAGES: Mapping[str, Damage] = {
    "blur": _blurred(0.008),
    "more blur": _blurred(0.03),
    "noise": _noisy(8.0),
    "more noise": _noisy(24.0),
    "time shift": _shifted,
    "shuffled frames": _shuffled,
    "another sample": _swapped,
    "swap midway": _swapped_midway,
    "frozen": _frozen,
    "flickering": _flickering,
    "fading": _fading,
}
OTHER_SOUND = "another sound"  # leaves the picture alone


@dataclass(frozen=True)
class DamagedVideos:
    """The real clips with one damage; `NONE` and `OTHER_SOUND` leave the picture as it is."""

    title: str
    samples: Samples

    def size(self, sample: Sample) -> tuple[int, int]:
        """The sample's."""
        return sample.height, sample.width

    def frames(self, sample: Sample) -> np.ndarray:
        """As damaged."""
        frames = sample.read()
        return frames if self.title in (NONE, OTHER_SOUND) else DAMAGES[self.title](frames, self._next(sample).read())

    def file(self, sample: Sample) -> bytes | None:
        """The damaged picture with its own sound, or the next sample's; None where the real clip has none."""
        sound = self.sound(sample)
        return None if sound is None else encode_clip(self.frames(sample), sample.fps, sound, SAMPLE_RATE)

    def sound(self, sample: Sample) -> np.ndarray | None:
        """`(S,)` its own, or the next sample's, as long as the picture; None where that one has none."""
        source = self._next(sample) if self.title == OTHER_SOUND else sample
        sound = source.whole_sound()
        return None if sound is None else np.resize(sound, round(sample.frames / sample.fps * SAMPLE_RATE))

    def _next(self, sample: Sample) -> Sample:
        place = self.samples.samples.index(sample)
        return self.samples.samples[(place + 1) % len(self.samples)]


def _like(other: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The other clip in this one's size and length; a shorter one is repeated."""
    height, width = frames.shape[1:3]
    fitted = [crop_to(f, height, width) for f in other]
    return np.stack([fitted[i % len(fitted)] for i in range(len(frames))])


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
