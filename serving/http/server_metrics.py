"""The server's numbers in Prometheus' text format: requests, jobs, and how long videos take."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serving.videos.jobs import COMPLETED, IN_PROGRESS, JobStore

__all__ = ["CONTENT_TYPE_LATEST", "ServerMetrics"]


class ServerMetrics:
    """A registry of its own, so that two servers in one process do not meet."""

    def __init__(self, store: JobStore):
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("omnihuman_requests", "answers", ["method", "route", "status"], registry=registry)
        self._jobs = Counter("omnihuman_jobs", "videos that ended", ["outcome"], registry=registry)
        self._made = Counter("omnihuman_video_seconds", "seconds of video made", registry=registry)
        self._work = Histogram(
            "omnihuman_job_seconds",
            "seconds of work for one video",
            buckets=(1, 3, 10, 30, 100, 300, 1000, 3000),
            registry=registry,
        )
        Gauge("omnihuman_jobs_waiting", "videos that nobody has begun", registry=registry).set_function(store.waiting)
        running = Gauge("omnihuman_jobs_running", "videos being made", registry=registry)
        running.set_function(lambda: sum(job.status == IN_PROGRESS for job in store.every()))

    def answered(self, method: str, route: str, status: int) -> None:
        """One request; `route` is its pattern, so that ids do not become labels."""
        self._requests.labels(method, route, str(status)).inc()

    def finished(self, outcome: str, seconds: float, video_seconds: float) -> None:
        """One job; see `serving.videos.worker.Counting`."""
        self._jobs.labels(outcome).inc()
        self._work.observe(seconds)
        if outcome == COMPLETED:
            self._made.inc(video_seconds)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
