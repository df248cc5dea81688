"""How a clip behaves over time, without a network: flicker, drift of colour, size of the motion.

None has a right answer of its own: a still picture flickers least. Read each against the real clips' own value.
"""

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.metrics.errors import MetricError
from evaluation.metrics.facts import Reading
from evaluation.metrics.streaming import ClipMean

if TYPE_CHECKING:
    from evaluation.metrics.observation.observed import Observed

FLOW_SIDE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Flicker(ClipMean):
    """Mean over pixels and inner frames of |Y_t - (Y_{t-1} + Y_{t+1}) / 2|, luma Y in [0, 1].

    A pixel that changes steadily has none, so even motion of smooth parts counts little and what comes and goes counts.
    """

    name = "flicker"
    unit = "luma 0-1"
    higher_is_better = False
    title = "flicker"
    aspect = "flicker"
    reading = Reading(AUDIO, 32)
    damage = ("noise", "flickering")

    def observe(self, seen: "Observed") -> None:
        """The generated frames."""
        self.update(seen.name, seen.generated)

    def update(self, clip: str, frames: np.ndarray) -> None:
        """`(T, H, W, 3)` uint8, three frames or more."""
        frames = _checked(frames, 3, self.name, clip)
        total, before, here = 0.0, _luma(frames[0]), _luma(frames[1])
        for image in frames[2:]:
            after = _luma(image)
            total += float(np.abs(here - (before + after) / 2).mean())
            before, here = here, after
        self._add(clip, total / (len(frames) - 2))


class ColourDrift(ClipMean):
    """Mean over a grid and channels of |mean colour of the last segment - of the first|, RGB in [0, 1].

    The grid (4 x 4 parts) keeps one part's darkening from paying for another's lightening; a segment (a quarter of the
    clip by default) averages motion out.
    """

    name = "colour_drift"
    unit = "RGB 0-1"
    higher_is_better = False
    title = "colour drift"
    aspect = "fading"
    reading = Reading(AUDIO, 33)
    damage = ("fading",)

    def __init__(self, segments: int = 4):
        super().__init__()
        self.segments = segments

    def settings(self) -> dict[str, Any]:
        """With the number of segments."""
        return super().settings() | {"segments": self.segments}

    def observe(self, seen: "Observed") -> None:
        """The generated frames."""
        self.update(seen.name, seen.generated)

    def update(self, clip: str, frames: np.ndarray) -> None:
        """`(T, H, W, 3)` uint8, as many frames as segments or more."""
        frames = _checked(frames, self.segments, self.name, clip)
        first, *_, last = np.array_split(np.stack([_grid(image) for image in frames]), self.segments)
        self._add(clip, float(np.abs(last.mean(axis=0) - first.mean(axis=0)).mean()))


class MotionMagnitude(ClipMean):
    """Mean over pixels and frames of the length of Farneback's optical flow, in shares of the picture's height per second.

    A picture whose shorter side has more than 256 pixels is made that small first: at 480p the flow of the whole would take as long as a network.
    """

    name = "motion_magnitude"
    unit = "heights/s"
    higher_is_better = True
    title = "motion"
    aspect = "motion"
    arrow = False  # real clips have the best amount
    damage = ("frozen",)

    def observe(self, seen: "Observed") -> None:
        """The generated frames."""
        self.update(seen.name, seen.generated, seen.fps)

    def update(self, clip: str, frames: np.ndarray, fps: float) -> None:
        """`(T, H, W, 3)` uint8, two frames or more, at `fps`."""
        frames = _checked(frames, 2, self.name, clip)
        before, total = _small_and_grey(frames[0]), 0.0
        for image in frames[1:]:
            after = _small_and_grey(image)
            flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
            total, before = total + float(np.hypot(flow[..., 0], flow[..., 1]).mean()), after
        self._add(clip, total / (len(frames) - 1) / len(before) * fps)


def _small_and_grey(image: np.ndarray) -> np.ndarray:
    grey, (height, width) = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), image.shape[:2]
    scale = FLOW_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    return grey if scale >= 1 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def _luma(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) @ LUMA / 255.0


def _grid(image: np.ndarray) -> np.ndarray:
    """`(4, 4, 3)` mean colours in [0, 1]."""
    return cv2.resize(image.astype(np.float32) / 255.0, (4, 4), interpolation=cv2.INTER_AREA)


def _checked(frames: np.ndarray, fewest: int, metric: str, clip: str) -> np.ndarray:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) < fewest:
        raise MetricError(
            f"{metric}: clip {clip} is {frames.shape} {frames.dtype}; it needs {fewest} frames or more, (T, H, W, 3) uint8"
        )
    return np.ascontiguousarray(frames)
