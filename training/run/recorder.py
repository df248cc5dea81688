"""What a run leaves behind: a loss table, MLflow metrics, live progress, and Dagster's report. Rank 0 only."""

import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch

from media import write_atomically
from media.records import SnapshotRecord
from tracking.outbox import PatientRun, open_patient_run
from tracking.peak_memory import peak_memory_gib
from tracking.progress import ProgressFile
from tracking.tracker import Tracker
from training.run.jobs import TrainingJob


class Recorder:
    """Collects one row of numbers per step; flushed with each checkpoint, so that a resume repeats nothing."""

    def __init__(self, job: TrainingJob, total: int, digest: str):
        """Open (or continue) the MLflow run of `job`. On other ranks everything is a no-op."""
        self.job, self.total = job, total
        self.rows: list[dict[str, float]] = []
        self.measured: list[tuple[int, dict[str, float]]] = []
        self.work = Path(job.work)
        self.master = torch.distributed.get_rank() == 0
        self.started = time.time()
        self._first_step: int | None = None
        self.run: PatientRun | None = None
        self._context: AbstractContextManager[PatientRun] | None = None
        self.table, self.events = self.work / "losses.jsonl", self.work / "events.jsonl"
        if not self.master:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        self.progress = ProgressFile(Path(job.progress)) if job.progress else None
        if job.tracking_uri:
            self._open_run(digest)

    def _open_run(self, digest: str) -> None:
        section = getattr(self.job.profile, self.job.section)
        parameters = {
            "profile": self.job.profile.name,
            "kind": self.job.kind,
            **_flatten(section.model_dump(mode="json")),
        }
        self._context = open_patient_run(
            Tracker(self.job.tracking_uri),
            "training",
            self.job.name,
            params=parameters,
            tags={"snapshot_digest": digest, "parent": Path(self.job.parent or "none").name, **self._continued()},
            snapshot=SnapshotRecord.path(Path(self.job.snapshot)),
            work=self.work,
        )
        self.run = self._context.__enter__()

    def _continued(self) -> dict[str, str]:
        return {"continued_from": self.job.continued_from} if self.job.continued_from else {}

    def resume_at(self, step: int) -> None:
        """Forget rows and events of steps at or after `step`: they will be computed again."""
        if self._first_step is None:
            self._first_step = step
            if self.run:
                self.run.attempt_tag({"first_step": str(step)})
        for path in (self.table, self.events) if self.master else ():
            if path.is_file():
                kept = [line for line in path.read_text().splitlines() if line and json.loads(line)["step"] < step]
                write_atomically(path, "".join(line + "\n" for line in kept).encode())

    def log(self, step: int, row: dict[str, float], note: str, measured: dict[str, float] | None = None) -> None:
        """One step's numbers.

        Args:
            step: counted from 0.
            row: what the seed decides; kept in `losses.parquet`.
            note: what the progress bar shows.
            measured: seconds, memory and the like, which differ from run to run; sent to MLflow only.
        """
        if not self.master:
            return
        self.rows.append({"step": step, **row})
        if measured:
            self.measured.append((step, measured))
        if self.progress:
            self.progress(step + 1, self.total, note)
        if step % 20 == 0 or step + 1 == self.total:
            print(f"{self.job.name} {step + 1}/{self.total} {note} {time.time() - self.started:.0f} s", flush=True)

    def event(self, step: int, kind: str, **details: Any) -> None:
        """Something that a person should see: printed, kept in `events.jsonl`, and a tag of the MLflow run."""
        if not self.master:
            return
        print(f"{self.job.name} step {step}: {kind} {details}", flush=True)
        _append(self.events, [{"step": step, "event": kind, **details}])
        if self.run:
            self.run.tag({f"event.{kind.replace(' ', '_')}.{step}": json.dumps(details)[:4000]})

    def event_count(self) -> int:
        """How many events the run has seen, over all attempts."""
        return len(self.events.read_text().splitlines()) if self.events.is_file() else 0

    def artifact(self, path: Path, folder: str) -> None:
        """Upload a file or a folder's contents to the MLflow run."""
        if self.run:
            self.run.artifact(path, folder)

    def checkpoint(self, record: dict[str, Any]) -> None:
        """The run's product stands, with this record: MLflow gets a page for it, to which evaluations bring their scores."""
        if self.run:
            tags = {
                name: record[name]
                for name in ("weights_digest", "snapshot_digest", "parent", "profile", "parameters")
                if record.get(name)
            }
            self.run.checkpoint(self.job.name, tags)

    def flush(self) -> None:
        """Append the rows to `losses.jsonl` and send them to MLflow."""
        if not self.master or not self.rows:
            return
        _append(self.table, self.rows)
        if self.run:
            rows = [(int(row["step"]), {k: v for k, v in row.items() if k != "step"}) for row in self.rows]
            self.run.log_many(rows + self.measured)
        self.rows, self.measured = [], []

    def losses(self) -> pd.DataFrame:
        """The whole curve, over all attempts."""
        return pd.DataFrame([json.loads(line) for line in self.table.read_text().splitlines() if line])

    def summary(self) -> dict[str, Any]:
        """Seconds of this attempt and peak memory of this process in GiB."""
        return {"seconds": round(time.time() - self.started, 1), "peak_memory_gib": round(peak_memory_gib(), 3)}

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the MLflow run, as failed if there was an error.

        Raises:
            tracking.outbox.TrackingUnreachable: the run ends well and its server is away; the same job tells it later.
        """
        if self._context is not None:
            self._context.__exit__(kind, error, trace)


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
