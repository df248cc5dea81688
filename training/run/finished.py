"""A job that has written its product is not trained again: what was left to do after that (telling MLflow, DVC) is done alone."""

import json
from pathlib import Path
from typing import Any

from media import write_atomically
from media.records import ProductRecord, SnapshotRecord
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob


def remember_finished(job: TrainingJob, record: dict[str, Any]) -> None:
    """Note in the work folder that the product with this record is this job's."""
    note = {"fingerprint": _fingerprint(job), "weights_digest": record["weights_digest"]}
    write_atomically(_note(Path(job.work)), json.dumps(note).encode())


def finished_record(job: TrainingJob) -> dict[str, Any] | None:
    """The record of the product that an earlier attempt of this very job wrote, or None."""
    note, record = _note(Path(job.work)), ProductRecord.read_if_there(Path(job.output))
    if not note.is_file() or record is None:
        return None
    own = {"fingerprint": _fingerprint(job), "weights_digest": record.weights_digest}
    return dict(record.values) if json.loads(note.read_text()) == own else None


def is_finished(work: Path) -> bool:
    """Whether a job has written its product from this work folder."""
    return _note(work).is_file()


def end_run(job: TrainingJob, record: dict[str, Any]) -> None:
    """Tell MLflow what it was not told yet, and that the run is finished. All ranks call this.

    Raises:
        tracking.outbox.TrackingUnreachable: it still does not answer.
    """
    from training.run.recorder import Recorder  # brings torch, which whoever only asks does without

    with Recorder(job, int(record["steps"]), record["snapshot_digest"]) as recorder:
        if recorder.master:
            print(f"{job.name} is trained already", flush=True)


def _note(work: Path) -> Path:
    return work / "finished.json"


def _fingerprint(job: TrainingJob) -> str:
    return job_fingerprint(job, SnapshotRecord.read(Path(job.snapshot)).digest)
