"""The server's numbers in Prometheus' text format: requests, jobs, and how long videos take."""

from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serving.versions.served_models import KINDS, ServedModels
from serving.videos.jobs import COMPLETED, IN_PROGRESS, JobStore
from tracking.peak_memory import peak_memory_gib

__all__ = ["CONTENT_TYPE_LATEST", "ServerMetrics"]


class ServerMetrics:
    """A registry of its own, so that two servers in one process do not meet.

    Attributes:
        registry: where other parts of the server put their own.
    """

    def __init__(self, store: JobStore, models: ServedModels):
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("omnihuman_requests", "answers", ["method", "route", "status"], registry=registry)
        self._jobs = Counter("omnihuman_jobs", "videos that ended", ["outcome"], registry=registry)
        self._failed = Counter(
            "omnihuman_failed_checks", "videos that missed an output check", ["check"], registry=registry
        )
        self._replaced = Counter("omnihuman_replaced", "videos of a canary that were made again", registry=registry)
        memory = Gauge("omnihuman_memory_gib", "the most memory that the process ever held", registry=registry)
        memory.set_function(peak_memory_gib)
        self._made = Counter("omnihuman_video_seconds", "seconds of video made", registry=registry)
        self._work = Histogram(
            "omnihuman_job_seconds",
            "seconds of work for one video",
            buckets=(1, 3, 10, 30, 100, 300, 1000, 3000),
            registry=registry,
        )
        Gauge("omnihuman_jobs_waiting", "videos that nobody has begun", registry=registry).set_function(store.waiting)
        versions = Gauge("omnihuman_version", "registered version, 0 for none", ["role"], registry=registry)
        versions.labels("served").set_function(lambda: models.current.version)
        versions.labels("canary").set_function(lambda: 0 if models.canary is None else models.canary.version)
        wrong = Gauge(
            "omnihuman_alias_not_served", "1 while the alias says another version than is served", registry=registry
        )
        wrong.set_function(lambda: bool(models.wrong))
        moved = Gauge(
            "omnihuman_version_events", "what happened to versions since the start", ["kind"], registry=registry
        )
        for kind in KINDS:
            moved.labels(kind).set_function(partial(models.count, kind))
        running = Gauge("omnihuman_jobs_running", "videos being made", registry=registry)
        running.set_function(lambda: sum(job.status == IN_PROGRESS for job in store.every()))

    def answered(self, method: str, route: str, status: int) -> None:
        """One request; `route` is its pattern, so that ids do not become labels."""
        self._requests.labels(method, route, str(status)).inc()

    def finished(self, outcome: str, seconds: float, video_seconds: float, failed: Sequence[str] = ()) -> None:
        """One job; see `serving.videos.worker.Counting`."""
        self._jobs.labels(outcome).inc()
        self._work.observe(seconds)
        for check in failed:
            self._failed.labels(check).inc()
        if outcome == COMPLETED:
            self._made.inc(video_seconds)

    def replaced(self) -> None:
        """One video of a canary."""
        self._replaced.inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)
