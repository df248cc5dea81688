"""Which frames of a clip become a training sample, and which frame shows the person."""

from dataclasses import dataclass

import numpy as np

from profiles.schema import VideoConfig
from profiles.video import MOTION_FRAMES as MOTION_FRAMES


@dataclass(frozen=True)
class Window:
    """Frames `start` to `start + frames - 1`; `reference_outside` says that the reference keeps the configured gap, or,
    with a gap of 0, that it happens to lie outside."""

    start: int
    reference_frame: int
    reference_outside: bool

    @property
    def has_motion(self) -> bool:
        """Whether the clip holds enough frames before the window to show how it came to its first frame."""
        return self.start >= MOTION_FRAMES


def choose_windows(sha256: str, frames: int, video: VideoConfig) -> list[Window]:
    """Up to `windows_per_clip` windows without overlap, placed by the clip's own hash: same clip, same windows.

    The reference lies at least `reference_gap` frames outside its window where the clip is long enough (a reference
    from inside freezes motion, OmniHuman-1.5 section 3); placements that allow this for every window are preferred. With
    a gap of 0 it is any frame of the clip.

    Args:
        sha256: the clip's, hex.
        frames: how many the clip has at the bucket's rate.
        video: window length, gap, and how many windows; of one bucket.
    """
    count = min(video.windows_per_clip, frames // video.frames)
    if count == 0:
        return []
    rng = np.random.default_rng(int(sha256[:16], 16))
    offsets = range(frames - count * video.frames + 1)
    roomy = [o for o in offsets if all(len(_outside(o + i * video.frames, frames, video)) for i in range(count))]
    offset = int(rng.choice(np.asarray(roomy or offsets)))
    return [_window(offset + i * video.frames, frames, video, rng) for i in range(count)]


def _outside(start: int, frames: int, video: VideoConfig) -> np.ndarray:
    before = np.arange(0, start - video.reference_gap + 1)
    after = np.arange(start + video.frames - 1 + video.reference_gap, frames)
    return np.concatenate([before, after])


def _window(start: int, frames: int, video: VideoConfig, rng: np.random.Generator) -> Window:
    inside = np.arange(start, start + video.frames)
    if video.reference_gap == 0:
        reference = int(rng.integers(frames))
        return Window(start, reference, reference not in inside)
    outside = _outside(start, frames, video)
    return Window(start, int(rng.choice(outside if len(outside) else inside)), bool(len(outside)))
