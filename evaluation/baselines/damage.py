"""Known damage to real clips: what every metric must notice, in the right order, before it may judge anybody."""

from collections.abc import Callable, Mapping
from functools import cached_property

import cv2
import numpy as np

from evaluation.baselines.samples import SAMPLE_RATE, OpenSample
from media import encode_clip
from media.framing import crop_to

NONE = "none"
SHIFT = 4  # frames; a quarter of a second at 16 per second

Damage = Callable[[np.ndarray, OpenSample], np.ndarray]
"""From a clip `(T, H, W, 3)` uint8 and the next sample, whose frames few ask for, to the damaged clip of the same shape."""


def _blurred(strength: float) -> Damage:
    """Strength in shares of the picture's height, so that small and large pictures suffer alike."""

    def damage(frames: np.ndarray, other: OpenSample) -> np.ndarray:
        return np.stack([cv2.GaussianBlur(f, (0, 0), strength * frames.shape[1]) for f in frames])

    return damage


def _noisy(level: float) -> Damage:
    def damage(frames: np.ndarray, other: OpenSample) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, level, frames.shape)
        return _to_uint8(frames + noise)

    return damage


def _shifted(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    return np.roll(frames, SHIFT, axis=0)


def _shuffled(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    return frames[np.random.default_rng(0).permutation(len(frames))]


def _swapped(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    """The next sample's clip: another person, pose and time."""
    return _like(other.frames, frames)


def _swapped_midway(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    half = len(frames) // 2
    return np.concatenate([frames[:half], _like(other.frames, frames)[half:]])


def _frozen(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    return np.repeat(frames[:1], len(frames), axis=0)


def _flickering(frames: np.ndarray, other: OpenSample) -> np.ndarray:
    gain = np.random.default_rng(0).uniform(0.85, 1.15, len(frames))
    return _to_uint8(frames * gain[:, None, None, None])


def _fading(frames: np.ndarray, other: OpenSample) -> np.ndarray:
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


class DamagedClip:
    """A real clip with one damage; `NONE` and `OTHER_SOUND` leave the picture as it is.

    Args:
        title: the damage.
        clip: the real clip.
        other: the next sample's.
    """

    def __init__(self, title: str, clip: OpenSample, other: OpenSample):
        self._title, self._clip, self._other = title, clip, other

    @cached_property
    def frames(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8, as damaged."""
        frames = self._clip.frames
        return frames if self._title in (NONE, OTHER_SOUND) else DAMAGES[self._title](frames, self._other)

    def sound(self) -> np.ndarray | None:
        """`(S,)` its own, or the next sample's, as long as the picture; None where that one has none."""
        sample, sound = self._clip.sample, (self._other if self._title == OTHER_SOUND else self._clip).sound
        return None if sound is None else np.resize(sound, round(sample.frames / sample.fps * SAMPLE_RATE))

    def file(self) -> bytes | None:
        """The damaged picture with its own sound, or the next sample's; None where the real clip has none."""
        sound = self.sound()
        return None if sound is None else encode_clip(self.frames, self._clip.sample.fps, sound, SAMPLE_RATE)


def _like(other: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The other clip in this one's size and length; a shorter one is repeated."""
    height, width = frames.shape[1:3]
    fitted = [crop_to(f, height, width) for f in other]
    return np.stack([fitted[i % len(fitted)] for i in range(len(frames))])


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
