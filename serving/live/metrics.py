"""Numbers of live sessions in Prometheus' text format."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.live.engine import LiveEngine
from serving.live.session import LiveNumbers


class LiveMetrics:
    """In the registry of the server's other numbers."""

    def __init__(self, registry: CollectorRegistry, engine: LiveEngine):
        sessions = Gauge("omnihuman_live_sessions", "live sessions under way", registry=registry)
        sessions.set_function(lambda: engine.open_sessions.total())
        self._ended = Counter(
            "omnihuman_live_ended", "live sessions that ended, 0 where the client went", ["code"], registry=registry
        )
        self._dropped = Counter(
            "omnihuman_live_dropped_frames", "pictures left out for slow clients", registry=registry
        )
        self._late = Counter("omnihuman_live_late_packets", "packets of sound that came too late", registry=registry)
        self._seconds = Counter("omnihuman_live_video_seconds", "seconds of live video made", registry=registry)
        self._first = Histogram(
            "omnihuman_live_first_picture_seconds",
            "from the first picture's sound to the first picture",
            buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5),
            registry=registry,
        )
        self._factor = Histogram(
            "omnihuman_live_real_time_factor",
            "seconds of video for a second of work, by session",
            buckets=(0.5, 1, 2, 5, 10, 20, 50),
            registry=registry,
        )

    def ended(self, code: int, numbers: LiveNumbers | None) -> None:
        """One session, or one that never began."""
        self._ended.labels(str(code)).inc()
        if numbers is None:
            return
        self._dropped.inc(numbers.dropped)
        self._late.inc(numbers.late)
        self._seconds.inc(numbers.seconds)
        for histogram, value in ((self._first, numbers.first_picture), (self._factor, numbers.real_time_factor)):
            if not math.isnan(value):
                histogram.observe(value)
