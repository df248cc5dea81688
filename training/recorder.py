"""What a run leaves behind: a loss table, MLflow metrics, live progress, and Dagster's report. Rank 0 only."""

import json
import os
import resource
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch

from tracking.progress import ProgressFile
from tracking.runs import Run, open_run
from training.jobs import TrainingJob


class Recorder:
    """Collects one row of numbers per step; flushed with each checkpoint, so that a resume repeats nothing."""

    def __init__(self, job: TrainingJob, total: int, digest: str):
        """Open (or continue) the MLflow run of `job`. On other ranks everything is a no-op."""
        self.job, self.total = job, total
        self.rows: list[dict[str, float]] = []
        self.work = Path(job.work)
        self.master = torch.distributed.get_rank() == 0
        self.started = time.time()
        self.run: Run | None = None
        self._context: AbstractContextManager[Run] | None = None
        if not self.master:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        self.table = self.work / "losses.jsonl"
        self.progress = ProgressFile(Path(job.progress)) if job.progress else None
        if job.tracking_uri:
            self._open_run(digest)

    def _open_run(self, digest: str) -> None:
        remembered = self.work / "mlflow_run_id"
        section = getattr(self.job.profile, self.job.section)
        parameters = {"profile": self.job.profile.name, "kind": self.job.kind, **_flatten(section.model_dump(mode="json"))}
        self._context = open_run(
            self.job.tracking_uri, "training", self.job.name, params=parameters,
            tags={"snapshot_digest": digest, "parent": Path(self.job.parent or "none").name},
            snapshot=Path(self.job.snapshot) / "snapshot.json",
            run_id=remembered.read_text() if remembered.is_file() else None,
        )
        self.run = self._context.__enter__()
        remembered.write_text(self.run.run_id)

    def resume_at(self, step: int) -> None:
        """Forget rows of steps at or after `step`: they will be computed again."""
        if self.master and self.table.is_file():
            kept = [line for line in self.table.read_text().splitlines() if line and json.loads(line)["step"] < step]
            self.table.write_text("".join(line + "\n" for line in kept))

    def log(self, step: int, row: dict[str, float], note: str) -> None:
        """One step's numbers; `note` is what the progress bar shows."""
        if not self.master:
            return
        self.rows.append({"step": step, **row})
        if self.progress:
            self.progress(step + 1, self.total, note)
        if step % 20 == 0 or step + 1 == self.total:
            print(f"{self.job.name} {step + 1}/{self.total} {note} {time.time() - self.started:.0f} s", flush=True)

    def flush(self) -> None:
        """Append the rows to `losses.jsonl` and send them to MLflow."""
        if not self.master or not self.rows:
            return
        with self.table.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in self.rows)
            file.flush()
            os.fsync(file.fileno())
        if self.run:
            self.run.log_many([(int(row["step"]), {k: v for k, v in row.items() if k != "step"}) for row in self.rows])
        self.rows = []

    def losses(self) -> pd.DataFrame:
        """The whole curve, over all attempts."""
        return pd.DataFrame([json.loads(line) for line in self.table.read_text().splitlines() if line])

    def summary(self) -> dict[str, Any]:
        """Seconds of this attempt and peak memory of this process in GiB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return {"seconds": round(time.time() - self.started, 1), "peak_memory_gib": round(peak, 3)}

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the MLflow run, as failed if there was an error."""
        if self._context is not None:
            self._context.__exit__(kind, error, trace)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
