"""One file looked at from end to end, once: can it be used, what is in it, which shots, and what does it look like."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.intake.inbox import fingerprint
from curation.intake.shots import Shot, shot_detector, split_shots
from curation.intake.video_hash import Thumbnails, video_hash
from curation.tables.failures import is_the_clips_own
from media import MediaError, Probe, probe_clip
from profiles import Profile

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What decides over a file: shortest clip in seconds, the rate, frames of the shortest bucket, how shots are found."""

    min_seconds: float
    fps: float
    frames: int
    shots: str

    @property
    def shortest(self) -> float:
        """Seconds of the shortest clip that is of use."""
        return max(self.min_seconds, self.frames / self.fps)


@dataclass(frozen=True)
class Piece:
    """A part of a file that becomes a clip: its shot, its perceptual hash, and how many of the file's frames it has."""

    shot: Shot
    phash: bytes
    frames: int


@dataclass(frozen=True)
class Examined:
    """One file: its fingerprint and, if `reason` is empty, its probe and pieces. `short` are shots too short for a clip."""

    path: Path
    sha256: str
    probe: Probe | None = None
    pieces: tuple[Piece, ...] = ()
    short: tuple[Shot, ...] = ()
    reason: str = ""
    message: str = ""

    @property
    def whole(self) -> bool:
        """The file is one clip, from its first frame to its last."""
        return len(self.pieces) == 1 and not self.short


def limits_of(profile: Profile) -> Limits:
    """The limits that a profile sets."""
    curation, video = profile.curation, profile.video
    return Limits(curation.min_seconds, video.fps, min(b.frames for b in video.all_buckets), curation.shots)


def examine(limits: Limits, path: Path) -> Examined:
    """Look at one file. Whatever is wrong with it is in the answer; nothing is raised for it."""
    key = fingerprint(path)
    try:
        return _look_through(limits, path, key)
    except MediaError as error:
        # The table says the same wherever the inbox stands.
        return Examined(path, key, reason=error.reason, message=str(error).replace(str(path), path.name))
    except OSError as error:
        return Examined(path, key, reason="unreadable", message=f"reading fails ({error.strerror}); check the file")
    except Exception as error:
        if not is_the_clips_own(error):
            raise
        _log.exception("%s could not be examined", path)
        kind = type(error).__name__
        message = f"examining it fails with {kind}: {error}; re-export the file, and report it with the file"
        return Examined(path, key, reason="failed", message=message)


def _look_through(limits: Limits, path: Path, key: str) -> Examined:
    detector, thumbnails, times = shot_detector(limits.shots), Thumbnails(), []

    def look(time: float, picture: np.ndarray) -> None:
        times.append(time)
        detector.look(time, picture)
        thumbnails.look(time, picture)

    probe = probe_clip(path, look)
    if probe.duration < limits.shortest - 1e-3:
        message = f"{probe.duration:.2f} s; a training window needs {limits.shortest:.4f} s, give a longer clip"
        return Examined(path, key, reason="too_short", message=message)
    clock = np.asarray(times)
    fewest = max(limits.frames, round(limits.min_seconds * limits.fps))
    shots, short = split_shots(clock, probe.duration, detector.cuts(), limits.fps, fewest)
    pieces = tuple(_piece(shot, thumbnails, clock) for shot in shots)
    return Examined(path, key, probe, pieces, tuple(short))


def _piece(shot: Shot, thumbnails: Thumbnails, times: np.ndarray) -> Piece:
    first, last = np.searchsorted(times, [shot.start - 1e-3, shot.end - 1e-3])
    return Piece(shot, video_hash(thumbnails.between(shot.start, shot.end)), max(1, int(last - first)))


def lost(path: Path) -> Examined:
    """For a file on which a process died twice."""
    return Examined(
        path,
        fingerprint(path),
        reason="crashes",
        message="FFmpeg ended the process that decoded it, twice; re-export the clip",
    )
