"""One MLflow run per evaluation asset, tied to the snapshot that the judged models were trained on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assets.core.steps import Execution
from media.records import SnapshotRecord
from tracking.peak_memory import peak_memory_gib
from tracking.runs import Run, open_run


@contextmanager
def evaluation_run(execution: Execution, params: dict[str, Any]) -> Iterator[Run]:
    """Open the run of `execution`; it also logs seconds and peak memory of this process."""
    workspace, started = execution.workspace, time.monotonic()
    snapshot = SnapshotRecord.path(workspace.data("training_snapshot"))
    with open_run(
        workspace.tracker,
        "evaluation",
        execution.name,
        params={"profile": workspace.profile.name, **params},
        tags={"fingerprint": execution.fingerprint},
        snapshot=snapshot if snapshot.is_file() else None,
    ) as run:
        with workspace.tracker.system_metrics(run.run_id):
            yield run
        run.log({"seconds": time.monotonic() - started, "peak_memory_gib": peak_memory_gib()})
