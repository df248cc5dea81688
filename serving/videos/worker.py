"""The one thread that makes the server's videos, one after another: two at once would only share the same processor."""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assets.core.workspace import Workspace
from media import MediaError
from serving.checks.output_checks import OutputChecks
from serving.generation import Prepared, prepare_video, write_video
from serving.http.request_limits import BAD_INPUT, in_visitor_words
from serving.model_choice import LoadedModel
from serving.versions.served_models import Choice, ServedModels
from serving.videos.jobs import COMPLETED, FAILED, IN_PROGRESS, QUEUED, VIDEO, Job, JobStore, Quota

logger = logging.getLogger(__name__)
IDLE_SECONDS = 5.0  # between looks at the folder when nobody calls `wake`
REPLACED = "replaced"  # the outcome of a canary's video that the served version made again
UNREADABLE = "readable"  # the check that a video fails which cannot be decoded


class _Stopping(Exception):
    """The server ends: the job goes back into the queue, its finished segments stay."""


class _Deleted(Exception):
    """The job was deleted while it ran."""


class Counting(Protocol):
    """What is told of every job that ended."""

    def finished(self, outcome: str, seconds: float, video_seconds: float, failed: Sequence[str] = ()) -> None:
        """`seconds` of work for `video_seconds` of video, which fails these output checks."""

    def replaced(self) -> None:
        """A canary's video was made again by the version that is served."""


class Checking(Protocol):
    """What looks at every video that was made; `serving.checks.output_checks.OutputChecker`."""

    def __call__(self, path: Path, prepared: Prepared) -> OutputChecks:
        """Raises MediaError."""


class Recording(Protocol):
    """What keeps a row of every attempt; `serving.checks.recorder.Recorder`."""

    def begin(self) -> None:
        """A video begins."""

    def record(self, job: Job, made: "Made", output: Path, seconds: float, name: str = "") -> None:
        """One attempt ended."""


@dataclass(frozen=True)
class Made:
    """How an attempt ended: status, words for the visitor, who made it, and what it was made of where that was read."""

    outcome: str
    choice: Choice
    error: str = ""
    prepared: Prepared | None = None
    checks: OutputChecks | None = None
    failed: tuple[str, ...] = ()

    @property
    def model(self) -> LoadedModel:
        """Who made it."""
        return self.choice.model

    @property
    def canary(self) -> bool:
        """Whether that was a canary."""
        return self.choice.canary


class VideoWorker(threading.Thread):
    """Takes the oldest queued job until `stop` is called; a segment that has begun is always finished.

    A video that a canary cannot make, or that fails a check which the served version seldom does, is made again by that one: nobody gets less.
    """

    def __init__(
        self,
        workspace: Workspace,
        models: ServedModels,
        store: JobStore,
        counting: Counting,
        quota: Quota,
        checker: Checking | None = None,
        recorder: Recording | None = None,
        keep_inputs: bool = False,
    ):
        # A daemon: a segment that outlasts the time for shutting down must not keep the process; its job can go on later.
        super().__init__(name="video-worker", daemon=True)
        self.workspace, self.models, self.store = workspace, models, store
        self.called: tuple[str, ...] = ()  # other names by which a request may ask for the model
        self._counting, self.quota, self._checker, self._recorder = counting, quota, checker, recorder
        self._keep_inputs = keep_inputs
        self._awake, self._ending = threading.Event(), threading.Event()

    @property
    def model(self) -> LoadedModel:
        """What is served; a canary beside it is not spoken of."""
        return self.models.current

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
        started = self.store.change(job.id, status=IN_PROGRESS, started=begun)
        if started is None:
            return
        job = started
        try:
            made = self._attempt(job, self.models.choose(job.id))
            if made.canary and (made.outcome == FAILED or self.models.unusual(made.failed)):
                replaced = dataclasses.replace(made, outcome=REPLACED)
                self._record(job, replaced, time.time() - begun, f"{job.id}-{REPLACED}")
                self._counting.replaced()
                made = self._attempt(job, Choice(self.models.current))
        except _Stopping:
            self.store.change(job.id, status=QUEUED)
            return
        except _Deleted:
            self.store.remove(job.id)
            return
        self._end(job, made, time.time() - begun)

    def _attempt(self, job: Job, choice: Choice) -> Made:
        """Make a video by one version, tell the models what became of it, and say how it ended."""
        self.store.change(job.id, model=choice.model.name, segments_done=0)
        try:
            if self._recorder is not None:
                self._recorder.begin()
            made = self._checked(job, self._made(job, choice))
        except (_Stopping, _Deleted):
            raise
        except Exception:  # whatever one video meets: this thread makes all the others, and the log has the traceback
            logger.exception("job %s failed with %s", job.id, choice.model.name)
            made = Made(FAILED, choice, "the server could not make this video; its log says why")
        self.models.report(choice, made.failed if made.outcome == COMPLETED else None)
        return made

    def _made(self, job: Job, choice: Choice) -> Made:
        request = self.store.request(job)
        try:
            prepared = prepare_video(self.workspace, choice.model, request)
            self.store.change(job.id, segments=prepared.video.segments)
            write_video(
                self.workspace, choice.model, prepared, lambda done, total, note: self._between_segments(job, done)
            )
        except BAD_INPUT as problem:
            return Made(FAILED, choice, in_visitor_words(problem, request, self.store.limits))
        return Made(COMPLETED, choice, prepared=prepared)

    def _checked(self, job: Job, made: Made) -> Made:
        if self._checker is None or made.prepared is None:
            return made
        try:
            checks = self._checker(made.prepared.request.output, made.prepared)
        except MediaError:
            logger.exception("the video of job %s cannot be read again", job.id)
            return dataclasses.replace(made, failed=(UNREADABLE,))
        except Exception:  # a fault of what checks is none of the video
            logger.exception("the video of job %s cannot be checked", job.id)
            return made
        return dataclasses.replace(made, checks=checks, failed=checks.failed())

    def _end(self, job: Job, made: Made, seconds: float) -> None:
        self._record(job, made, seconds)
        if not self._keep_inputs:
            self.store.forget_inputs(job.id)
        if self.store.change(job.id, status=made.outcome, error=made.error, finished=time.time()) is None:
            self.store.remove(job.id)
        fps = 1.0 if made.prepared is None else self.workspace.profile.video.fps
        frames = 0 if made.prepared is None else made.prepared.video.frames
        self._counting.finished(made.outcome, seconds, frames / fps, made.failed)

    def _record(self, job: Job, made: Made, seconds: float, name: str = "") -> None:
        if self._recorder is None:
            return
        try:
            self._recorder.record(job, made, self.store.path(job.id) / VIDEO, seconds, name)
        except (
            Exception
        ):  # a full disk, or a video that was deleted meanwhile: whoever asked for it has it all the same
            logger.exception("job %s is missing in the log of what was served", job.id)

    def _between_segments(self, job: Job, done: int) -> None:
        if self.store.change(job.id, segments_done=done) is None:
            raise _Deleted
        if self._ending.is_set():
            raise _Stopping
