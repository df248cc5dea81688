"""Where a film's shots begin, from file to frame numbers, as ingest finds them: one decode that also checks the file and reads its sound."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation.intake.shots import shot_detector
from media import probe_clip


def prepare(case: str, folder: Path | str) -> Callable[[], dict[str, Any]]:
    """A turn over all films."""
    films = sorted((Path(folder) / "films").glob("*.mp4"))
    find_cuts(films[0])
    return lambda: {film.name: find_cuts(film) for film in films}


def find_cuts(path: Path) -> list[int]:
    """Frames that begin a shot, but the first."""
    detector = shot_detector("content")
    probe_clip(path, detector.look)
    return detector.cuts()
