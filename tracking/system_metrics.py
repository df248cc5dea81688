"""What a run did to its machine: MLflow's own sampling of CPU, memory, disk, network and GPU, and the process's peak memory."""

import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from tracking.mlflow_store import connect  # first: it sets what mlflow reads at import

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # isort: skip

logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)  # begins and ends are no news


@contextmanager
def system_metrics(tracking_uri: str, run_id: str) -> Iterator[None]:
    """While the block runs, metrics `system/...` of the run, every 10 s; a later attempt's follow the earlier one's.

    `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` changes the seconds. A server that goes away ends them with a warning and nothing else.
    """
    connect(tracking_uri)
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def peak_memory_gib() -> float:
    """The most that this process ever held in memory at once (its resident set), GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
