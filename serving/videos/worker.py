"""The one thread that makes the server's videos, one after another: two at once would only share the same processor."""

import logging
import threading
import time
from typing import Protocol

from assets.core.workspace import Workspace
from serving.generation import prepare_video, write_video
from serving.http.request_limits import BAD_INPUT, in_visitor_words
from serving.model_choice import LoadedModel
from serving.videos.jobs import COMPLETED, FAILED, IN_PROGRESS, QUEUED, Job, JobStore, Quota

logger = logging.getLogger(__name__)
IDLE_SECONDS = 5.0  # between looks at the folder when nobody calls `wake`


class _Stopping(Exception):
    """The server ends: the job goes back into the queue, its finished segments stay."""


class _Deleted(Exception):
    """The job was deleted while it ran."""


class Counting(Protocol):
    """What is told of every job that ended."""

    def finished(self, outcome: str, seconds: float, video_seconds: float) -> None:
        """`seconds` of work for `video_seconds` of video."""


class VideoWorker(threading.Thread):
    """Takes the oldest queued job until `stop` is called; a segment that has begun is always finished."""

    def __init__(self, workspace: Workspace, model: LoadedModel, store: JobStore, counting: Counting, quota: Quota):
        # A daemon: a segment that outlasts the time for shutting down must not keep the process; its job can go on later.
        super().__init__(name="video-worker", daemon=True)
        self.workspace, self.model, self.store = workspace, model, store
        self.called: tuple[str, ...] = ()  # other names by which a request may ask for the model
        self._counting, self.quota = counting, quota
        self._awake, self._ending = threading.Event(), threading.Event()

    @property
    def ready(self) -> bool:
        """Whether a job that is added now will be made."""
        return self.is_alive() and not self._ending.is_set()

    def wake(self) -> None:
        """There is a new job."""
        self._awake.set()

    def stop(self, seconds: float) -> bool:
        """Stop after the segment that is being made; False where that takes longer than `seconds`."""
        self._ending.set()
        self._awake.set()
        self.join(seconds)
        return not self.is_alive()

    def run(self) -> None:
        """Until `stop`."""
        while not self._ending.is_set():
            self.store.forget_finished(self.quota)
            job = self.store.next_queued()
            if job is None:
                self._awake.wait(IDLE_SECONDS)
                self._awake.clear()
            else:
                self._make(job)

    def _make(self, job: Job) -> None:
        begun = time.time()
        if self.store.change(job.id, status=IN_PROGRESS, started=begun) is None:
            return
        try:
            outcome, error, seconds = self._made(job)
        except _Stopping:
            self.store.change(job.id, status=QUEUED)
            return
        except _Deleted:
            self.store.remove(job.id)
            return
        except Exception:  # whatever one video meets: this thread makes all the others, and the log has the traceback
            logger.exception("job %s failed", job.id)
            outcome, error, seconds = FAILED, "the server could not make this video; its log says why", 0.0
        self._end(job, outcome, error, time.time() - begun, seconds)

    def _made(self, job: Job) -> tuple[str, str, float]:
        """How it ended: status, words for the visitor, and seconds of video."""
        request, seconds = self.store.request(job), 0.0
        try:
            prepared = prepare_video(self.workspace, self.model, request)
            seconds = prepared.video.frames / self.workspace.profile.video.fps
            self.store.change(job.id, segments=prepared.video.segments)
            write_video(
                self.workspace, self.model, prepared, lambda done, total, note: self._between_segments(job, done)
            )
        except BAD_INPUT as problem:
            return FAILED, in_visitor_words(problem, request, self.store.limits), seconds
        return COMPLETED, "", seconds

    def _end(self, job: Job, outcome: str, error: str, seconds: float, video_seconds: float) -> None:
        if self.store.change(job.id, status=outcome, error=error, finished=time.time()) is None:
            self.store.remove(job.id)
        self._counting.finished(outcome, seconds, video_seconds)

    def _between_segments(self, job: Job, done: int) -> None:
        if self.store.change(job.id, segments_done=done) is None:
            raise _Deleted
        if self._ending.is_set():
            raise _Stopping
