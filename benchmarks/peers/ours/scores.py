"""The scores that Data-Juicer's video filters have too, as `curation.scores` computes them; from file to numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.inputs import clips
from curation.people.keypoints import KEYPOINTS
from curation.scores.clip_media import Bench, Material
from curation.scores.person.presence import PRESENCE
from curation.scores.picture.motion import MOTION
from curation.scores.registry import switched_on
from media import probe_clip
from profiles.schema import VideoConfig
from profiles.scores import ScoresConfig

SCORES = ScoresConfig()


class NobodyDetector:
    """Finds no keypoints, so that faces are looked for in every clip; a network that finds people is no CPU score."""

    name, version = "nobody", "1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.zeros((len(frames), KEYPOINTS, 3), np.float32)


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over all clips. `motion` and `faces` know a clip's size and length, as they do after ingest; `five` and `all` probe it first.

    A clip is scored at its own size and rate: bringing it to a bucket is not the scores' work.
    """
    cv2.setNumThreads(1)
    paths = clips(Path(folder))
    records = {path.name: _record(path) for path in paths}
    turn = {"motion": motion, "faces": faces, "five": five, "all": everything}[case.partition("-")[0]]

    def look() -> dict[str, Any]:
        probed = case.startswith(("five", "all"))
        return {p.name: turn(_material(p, _record(p) if probed else records[p.name])) for p in paths}

    turn(_material(paths[0], records[paths[0].name]))  # what is loaded when first asked for
    return look


def motion(material: Material) -> dict[str, float]:
    """`motion`, pixels of the source per frame."""
    return MOTION.compute(material, SCORES.motion)


def faces(material: Material) -> dict[str, float]:
    """`person_share`, the share of pictures in which a face is found."""
    return {"person_share": PRESENCE.compute(material, SCORES.presence)["person_share"]}


def five(material: Material) -> dict[str, float]:
    """Both, with width, height and seconds."""
    record = material.record
    sizes = {"width": record["width"], "height": record["height"], "seconds": record["seconds"]}
    return motion(material) | faces(material) | sizes


def everything(material: Material) -> dict[str, int]:
    """Every score that is on by default; how many columns they filled."""
    return {"columns": sum(len(score.compute(material, score.config(SCORES))) for score in switched_on(SCORES))}


def _record(path: Path) -> dict[str, Any]:
    probe = probe_clip(path)
    sizes = {"width": probe.width, "height": probe.height, "fps": probe.fps, "frames": probe.frames}
    return sizes | {"seconds": probe.duration, "caption": path.stem}


def _material(path: Path, record: dict[str, Any]) -> Material:
    height, width = (max(16, record[side] // 16 * 16) for side in ("height", "width"))
    video = VideoConfig(height=height, width=width, frames=17, fps=record["fps"])
    return Material(Bench(video, NobodyDetector(), (7, 8, 9, 10), SCORES.native_frames), record, path.read_bytes)
