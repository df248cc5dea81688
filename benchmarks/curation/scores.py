"""All CPU scores against decoding of the same clip, on one core: `python -m benchmarks.curation.scores [CLIP ...]`."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from curation.people.keypoints import KEYPOINTS, Detected
from curation.scores.clip_media import Bench, Material
from curation.scores.registry import switched_on
from media import decode_clip, encode_clip, probe_clip
from profiles.schema import VideoConfig
from profiles.scores import ScoresConfig

ROUNDS = 3
RATE = 16_000


@dataclass(frozen=True)
class ScoreTimes:
    """Fewest processor seconds of several rounds (the machine may be shared): decoding, what several scores share, and each score."""

    clip: str
    decode: float
    shared: float
    scores: dict[str, float]

    @property
    def ratio(self) -> float:
        """All scores, with what they share, over decoding."""
        return (self.shared + sum(self.scores.values())) / self.decode

    def lines(self) -> list[str]:
        """For people."""
        head = f"{self.clip}: decoding {self.decode * 1e3:.0f} ms, all scores {self.ratio:.2f} times that, of which"
        parts = {"shared pictures": self.shared, **self.scores}
        shares = sorted(((seconds / self.decode, name) for name, seconds in parts.items()), reverse=True)
        return [head, "  " + ", ".join(f"{name} {share:.3f}" for share, name in shares)]


class NoDetector:
    """Networks that find people are no CPU scores: keypoints are given."""

    name, version = "given", "1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        return rng.random((len(frames), KEYPOINTS, 3), np.float32) * [frames.shape[2], frames.shape[1], 1]


def walking_texture(height: int, width: int, frames: int, fps: float) -> bytes:
    """An encoded clip with detail, motion, noise and sound, so that decoding has something to do."""
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(0, 256, (height, 2 * width, 3), np.uint8), (0, 0), 2.5)
    wall = cv2.normalize(wall, None, 20, 235, cv2.NORM_MINMAX)
    person = cv2.GaussianBlur(rng.integers(0, 256, (height // 2, width // 4, 3), np.uint8), (0, 0), 4)
    grain = rng.normal(0, 1.0, 2 * height * width).astype(np.float32)
    pictures = []
    for t in range(frames):
        picture = wall[:, t : t + width].copy()
        left, top = width // 3 + round(20 * np.sin(t / 6)), height // 3
        picture[top : top + person.shape[0], left : left + person.shape[1]] = person
        noise = np.roll(grain, 7919 * t)[: picture[..., 0].size].reshape(height, width, 1)
        pictures.append(np.clip(picture + noise, 0, 255).astype(np.uint8))
    seconds = frames / fps
    sound = (0.2 * rng.standard_normal(round(seconds * RATE)) * (np.arange(round(seconds * RATE)) // 4000 % 2)).astype(
        np.float32
    )
    return encode_clip(np.stack(pictures), fps, sound, crf=23, pixel_format="yuv420p")


def time_scores(name: str, data: bytes, video: VideoConfig, scores: ScoresConfig, rounds: int = ROUNDS) -> ScoreTimes:
    """Time one clip; each round starts with nothing decoded."""
    cv2.setNumThreads(1)
    probe = probe_clip(data)
    record = {"width": probe.width, "height": probe.height, "fps": probe.fps, "frames": probe.frames, "caption": name}
    bench = Bench(video, NoDetector(), (7, 8, 9, 10), scores.native_frames)
    decode = min(_seconds(lambda: decode_clip(data, video.fps, video.sample_rate)) for _ in range(rounds))
    shared, parts = float("inf"), {score.name: float("inf") for score in switched_on(scores)}
    for _ in range(rounds):
        material = Material(bench, record, lambda: data)
        material.__dict__["detected"] = Detected(bench.detector(material.frames), None)
        shared = min(shared, _seconds(partial(_share, material)))
        for score in switched_on(scores):
            seconds = _seconds(partial(score.compute, material, score.config(scores)))
            parts[score.name] = min(parts[score.name], seconds)
    return ScoreTimes(name, decode, shared, parts)


def _share(material: Material) -> None:
    _ = material.luma, material.native_grey, material.envelope, material.opening


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> None:
    """Time made clips of two sizes, or the clips that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    options = parser.parse_args()
    scores = ScoresConfig()
    named = {path.name: path.read_bytes() for path in options.clips} or {
        f"made, {width}x{height}, 3 s": walking_texture(height, width, 75, 25.0)
        for height, width in ((360, 640), (480, 832))
    }
    for name, data in named.items():
        probe = probe_clip(data)
        # The bucket nearest to the clip's own size: resizing is not the scores' work.
        height, width = (max(16, side // 16 * 16) for side in (probe.height, probe.width))
        for line in time_scores(name, data, VideoConfig(height=height, width=width, frames=81), scores).lines():
            print(line)


if __name__ == "__main__":
    main()
