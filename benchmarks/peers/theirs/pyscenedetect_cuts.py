"""PySceneDetect's detectors as they come, over films."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from scenedetect import AdaptiveDetector, ContentDetector, detect


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over all films: `content` or `adaptive`, read by OpenCV, or by PyAV after `-pyav`."""
    cv2.setNumThreads(1)
    films = sorted((Path(folder) / "films").glob("*.mp4"))
    kind, _, backend = case.partition("-")
    make = {"content": ContentDetector, "adaptive": AdaptiveDetector}[kind]

    def find_cuts(path: Path) -> list[int]:
        return [start.frame_num for start, _ in detect(str(path), make(), backend=backend or "opencv")[1:]]

    find_cuts(films[0])
    return lambda: {film.name: find_cuts(film) for film in films}
