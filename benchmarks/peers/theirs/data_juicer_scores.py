"""Data-Juicer's video filters, each clip from file to stats by its own `compute_stats_single`: no dataset, no executor, no other process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from data_juicer.ops.filter.video_aspect_ratio_filter import VideoAspectRatioFilter
from data_juicer.ops.filter.video_duration_filter import VideoDurationFilter
from data_juicer.ops.filter.video_face_ratio_filter import VideoFaceRatioFilter
from data_juicer.ops.filter.video_motion_score_filter import VideoMotionScoreFilter
from data_juicer.ops.filter.video_resolution_filter import VideoResolutionFilter
from data_juicer.utils.constant import Fields, StatsKeys

SHORT_SIDE = 120  # as of our motion score
PICTURES = 4  # in which our presence score looks for faces
EVERY_FRAME = 1000.0  # a second: more than any clip has


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over all clips.

    `motion` and `faces` are the filters as they come (two frames a second at full size; a face in every frame); `-small` shrinks to our
    working size, `-neighbours` measures every pair there, `-few` looks for faces in about as many pictures as we do, `-cheapest` is both.
    """
    cv2.setNumThreads(1)
    paths = sorted((Path(folder) / "clips").glob("*.mp4"))
    lengths = {path.name: int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) for path in paths}
    kind, _, how = case.partition("-")
    small = how in ("small", "neighbours", "cheapest")
    motion = VideoMotionScoreFilter(
        sampling_fps=EVERY_FRAME if how == "neighbours" else 2, size=SHORT_SIDE if small else None
    )
    metadata = (VideoResolutionFilter(), VideoAspectRatioFilter(), VideoDurationFilter(video_backend="av"))

    def faces(path: Path) -> VideoFaceRatioFilter:
        few = how in ("few", "cheapest")
        return VideoFaceRatioFilter(detect_interval=max(1, lengths[path.name] // PICTURES) if few else 1)

    def filters(path: Path) -> tuple[Any, ...]:
        if kind == "motion":
            return (motion,)
        return (faces(path),) if kind == "faces" else (motion, faces(path), *metadata)

    _numbers(paths[0], filters(paths[0]))  # what is loaded when first asked for
    return lambda: {path.name: _numbers(path, filters(path)) for path in paths}


def _numbers(path: Path, filters: tuple[Any, ...]) -> dict[str, float]:
    sample: dict[str, Any] = {"videos": [str(path)], Fields.stats: {}}
    for op in filters:
        sample = op.compute_stats_single(sample)
    stats = sample[Fields.stats]
    names = {
        "motion": StatsKeys.video_motion_score, "person_share": StatsKeys.video_face_exist, "width": StatsKeys.video_width,
        "height": StatsKeys.video_height, "seconds": StatsKeys.video_duration,
    }  # fmt: skip
    return {name: float(stats[key][0]) for name, key in names.items() if key in stats}
