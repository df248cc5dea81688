"""The server's jobs on disk: a folder each, with settings, inputs, state and, at last, the video. They outlive the process."""

import dataclasses
import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from media import whole_directory, write_atomically
from media.access import chosen_umask
from media.user_error import UserError
from serving.generation import Request
from serving.http.request_limits import Limits, keep_upload
from serving.videos.settings import VideoSettings

QUEUED, IN_PROGRESS, COMPLETED, FAILED, DELETED = "queued", "in_progress", "completed", "failed", "deleted"
OLDER = {"running": IN_PROGRESS, "done": COMPLETED}  # words that jobs of an older server have on disk
STATE, VIDEO, INPUTS = "job.json", "video.mp4", "inputs"


class QueueFull(UserError):
    """More jobs than may wait; the message says how many."""


@dataclass(frozen=True)
class Job:
    """One video to make.

    Attributes:
        id: 32 hex.
        client: who asked, as `serving.http.clients` names him.
        model: which version makes it; until it is begun, which would.
        seconds, size: of the video; `WIDTHxHEIGHT`.
        status: `QUEUED`, `IN_PROGRESS`, `COMPLETED`, `FAILED`, or `DELETED` for one whose worker has not let go of it yet.
        settings: `VideoSettings` as JSON.
        files: paths below the job's folder under the names of `profiles.conditions.FILES`.
        created, started, finished: seconds since the epoch.
        segments_done, segments: progress.
        notes: for people, such as what of the picture is cut off.
        error: why it failed.
    """

    id: str
    status: str
    settings: dict[str, Any]
    files: dict[str, str]
    created: float
    started: float | None = None
    finished: float | None = None
    segments_done: int = 0
    segments: int = 0
    notes: list[str] = field(default_factory=list)
    error: str = ""
    client: str = ""
    model: str = ""
    seconds: float = 0.0
    size: str = ""


@dataclass(frozen=True)
class Checked:
    """What is known of a video before it is made; see `Job`."""

    model: str = ""
    seconds: float = 0.0
    size: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Share:
    """What one client may have: jobs waiting at a time, and seconds of a video."""

    waiting: int
    seconds: float


@dataclass(frozen=True)
class Quota:
    """What is kept of jobs that ended, with their uploads and videos: seconds, number and bytes. The oldest go first."""

    seconds: float = 24 * 3600.0
    jobs: int = 200
    size: int = 2 * 1024**3


class JobStore:
    """All jobs of one server. Its methods may be called from any thread; one process at a time uses a folder."""

    def __init__(self, folder: Path, limits: Limits):
        self.folder, self.limits = folder, limits
        self._lock = threading.RLock()
        self._coming: list[str] = []  # clients whose files are being kept
        folder.mkdir(parents=True, exist_ok=True, mode=0o777 & ~chosen_umask())  # pictures and voices of people
        self._recover()

    def add(
        self,
        settings: VideoSettings,
        uploads: Mapping[str, tuple[BinaryIO, str]],
        check: Callable[[Request], Checked],
        client: str = "",
        share: Share | None = None,
    ) -> Job:
        """Keep the files, look at them, and queue the job.

        Args:
            settings: what was asked for.
            uploads: content and file name under the names of `profiles.conditions.FILES`.
            check: raises what is wrong with the request, or says what will come of it; nothing of a refused job is kept.
            client: who asks.
            share: what he may have; None is every client's share.

        Raises:
            QueueFull: as many jobs wait as may, of all or of this client.
        """
        share = share or Share(self.limits.per_client, self.limits.seconds)
        self._reserve(client, share.waiting)
        try:
            name = uuid.uuid4().hex
            with whole_directory(self.path(name)) as place:
                files = {
                    kind: keep_upload(content, title, place / INPUTS / kind)
                    for kind, (content, title) in uploads.items()
                }
                found = check(settings.request(place / VIDEO, files, share.seconds))
                inside = {kind: str(path.relative_to(place)) for kind, path in files.items()}
                told = {**vars(found), "notes": list(found.notes)}
                job = Job(name, QUEUED, settings.model_dump(), inside, time.time(), client=client, **told)
                write_atomically(place / STATE, _as_json(job))
            return job
        finally:
            with self._lock:
                self._coming.remove(client)

    def get(self, name: str) -> Job | None:
        """The job with this id, None where there is none (any more)."""
        if not re.fullmatch(r"[0-9a-f]{32}", name):
            return None
        job = self._read(name)
        return None if job is None or job.status == DELETED else job

    def every(self) -> list[Job]:
        """Oldest first."""
        found = [self.get(path.name) for path in self.folder.iterdir()]
        return sorted((job for job in found if job is not None), key=lambda job: job.created)

    def waiting(self) -> int:
        """Jobs that nobody has begun."""
        return sum(job.status == QUEUED for job in self.every())

    def waiting_before(self, job: Job) -> int:
        """Jobs that are made before this one is begun; 0 for one that was."""
        if job.status != QUEUED:
            return 0
        return sum(
            other.status == IN_PROGRESS or (other.status == QUEUED and other.created < job.created)
            for other in self.every()
        )

    def next_queued(self) -> Job | None:
        """The one that has waited longest."""
        return next((job for job in self.every() if job.status == QUEUED), None)

    def change(self, name: str, **values: Any) -> Job | None:
        """Write new values of a job; None, and nothing written, where it is gone or deleted."""
        with self._lock:
            job = self.get(name)
            if job is None:
                return None
            job = dataclasses.replace(job, **values)
            write_atomically(self.path(name) / STATE, _as_json(job))
            return job

    def delete(self, name: str) -> bool:
        """Forget a job and its files; a running one is only marked, and its worker calls `remove`. False where there is none."""
        with self._lock:
            job = self.get(name)
            if job is None:
                return False
            if job.status == IN_PROGRESS:
                self.change(name, status=DELETED)
            else:
                self.remove(name)
            return True

    def remove(self, name: str) -> None:
        """Remove its folder. The state goes first, so that a kill in between leaves no job without files."""
        (self.path(name) / STATE).unlink(missing_ok=True)
        shutil.rmtree(self.path(name), ignore_errors=True)

    def forget_inputs(self, name: str) -> None:
        """Remove the pictures, voices and poses of a job that has ended."""
        shutil.rmtree(self.path(name) / INPUTS, ignore_errors=True)

    def forget_finished(self, quota: Quota) -> None:
        """Remove what was done or failed too long ago, and the oldest of what is too much."""
        ended = [(job.finished, job.id) for job in self.every() if job.finished is not None]
        count = size = 0
        for finished, name in sorted(ended, reverse=True):
            count, size = count + 1, size + _bytes(self.path(name))
            if time.time() - finished > quota.seconds or count > quota.jobs or size > quota.size:
                self.delete(name)

    def path(self, name: str) -> Path:
        """A job's folder."""
        return self.folder / name

    def request(self, job: Job) -> Request:
        """What `prepare_video` takes."""
        files = {kind: self.path(job.id) / path for kind, path in job.files.items()}
        return VideoSettings(**job.settings).request(self.path(job.id) / VIDEO, files, self.limits.seconds)

    def _reserve(self, client: str, share: int) -> None:
        with self._lock:
            waiting = [job.client for job in self.every() if job.status == QUEUED] + self._coming
            if len(waiting) >= self.limits.waiting:
                raise QueueFull(f"{self.limits.waiting} videos wait already, which is as many as may; ask again later")
            if waiting.count(client) >= share:
                raise QueueFull(f"{share} of your videos wait already, which is as many as may; ask again later")
            self._coming.append(client)

    def _read(self, name: str) -> Job | None:
        try:
            read = json.loads((self.path(name) / STATE).read_text())
            return Job(**{**read, "status": OLDER.get(read["status"], read["status"])})
        except FileNotFoundError:
            return None

    def _recover(self) -> None:
        """What a killed server left: running jobs wait again, deleted and half-written ones go."""
        for path in list(self.folder.iterdir()):
            job = self._read(path.name)
            if job is None or job.status == DELETED:
                self.remove(path.name)
            elif job.status == IN_PROGRESS:
                self.change(job.id, status=QUEUED)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _as_json(job: Job) -> bytes:
    return json.dumps(dataclasses.asdict(job), indent=1).encode()
