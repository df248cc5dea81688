"""What an MLflow run is told goes into a file first: a server that is away for a while costs neither the training nor a number.

The file is append-only, one JSON entry a line, and how far it was sent stands beside it. An entry that was sent twice, because the
process was killed in between, changes nothing: metrics carry the time at which they were measured.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from media import cut_unfinished_line, write_atomically
from media.user_error import UserError
from tracking.peak_memory import peak_memory_gib
from tracking.runs import Run, Stopped, begin_run, measurements
from tracking.tracker import Measurement, StoreError, Tracker, now_milliseconds

PAUSE = 30.0  # seconds between two tries while the server is away
PATIENCE = 30.0  # seconds that the end of a run waits for it
# mlflow itself would try for minutes, in the middle of a training step.
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class TrackingUnreachable(UserError):
    """MLflow does not answer; the message says what to do."""


class Outbox:
    """Entries of one run, sent in order."""

    def __init__(self, path: Path, tracker: Tracker, run_id: str):
        """`path` is made if it is not there; half a line that a kill left is cut off."""
        self.path, self._tracker, self.run_id = path, tracker, run_id
        self._mark = path.with_suffix(".sent")
        self._tried = -PAUSE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            cut_unfinished_line(file)

    def put(self, entry: dict[str, Any]) -> None:
        """Add `{"metrics": [[name, value, milliseconds, step], ...]}`, `{"tags": {...}}`, `{"artifact": path, "folder": ...}`,
        `{"checkpoint": name, "tags": {...}}` or `{"status": ...}`; with `"run": id`, for that run instead of the outbox's own."""
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def sync(self) -> None:
        """Bring the entries to the disk: after this not even a power cut loses them."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def send(self, now: bool = False) -> str | None:
        """Send what waits; `now` also soon after a try that failed. Returns None, or why something still waits."""
        if not now and time.monotonic() - self._tried < PAUSE:
            return "the last try is not long ago"
        start = place = self._sent()
        try:
            for line in self._lines(start):
                self._deliver(json.loads(line))
                place += len(line)
        except (StoreError, OSError) as error:
            self._tried = time.monotonic()
            return str(error)
        finally:
            if place != start:
                write_atomically(self._mark, str(place).encode())
        return None

    def waiting(self) -> int:
        """How many entries were not sent yet."""
        return sum(1 for _ in self._lines(self._sent()))

    def _sent(self) -> int:
        return int(self._mark.read_text()) if self._mark.is_file() else 0

    def _lines(self, start: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            yield from file

    def _deliver(self, entry: dict[str, Any]) -> None:
        run_id = entry.get("run", self.run_id)
        if "metrics" in entry:
            self._tracker.log_metrics(run_id, [Measurement(*values) for values in entry["metrics"]])
        elif "checkpoint" in entry:
            self._tracker.log_checkpoint(run_id, entry["checkpoint"], entry["tags"])
        elif "tags" in entry:
            self._tracker.tag_run(run_id, entry["tags"])
        elif "artifact" in entry:
            self._tracker.upload(run_id, self.path.parent / entry["artifact"], entry["folder"])
        else:
            self._tracker.set_status(run_id, entry["status"])


class PatientRun(Run):
    """A run whose words go through an outbox. An outage is printed once; what waits is sent when the server is back."""

    def __init__(self, outbox: Outbox, tracker: Tracker):
        super().__init__(tracker, outbox.run_id)
        self._outbox, self._away = outbox, False
        self._attempt: str | None = None
        self._began = time.monotonic()

    def log_many(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Many steps in few requests; on the disk when this returns."""
        self._say({"metrics": measurements(rows)})
        self._outbox.sync()

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        self._say({"tags": {name: str(value) for name, value in tags.items()}})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents; it must stay where it is until then, seen from the outbox if it lies beside it."""
        beside, path = self._outbox.path.parent.resolve(), path.resolve()
        own = path.relative_to(beside) if path.is_relative_to(beside) else path
        self._say({"artifact": str(own), "folder": folder})

    def status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        self._say({"status": status})

    def checkpoint(self, name: str, tags: dict[str, str]) -> None:
        """The run has trained a checkpoint: a page for it in MLflow (`Tracker.log_checkpoint`)."""
        self._say({"checkpoint": name, "tags": {key: str(value) for key, value in tags.items()}})

    def begin_attempt(self, name: str) -> None:
        """A nested run for what this process does of the run: when, on which machine, how it ended.

        An earlier attempt that never said how it ended was killed. Where MLflow is away now, this attempt has no run of its own.
        """
        try:
            earlier = self._tracker.nested_runs(self.run_id)
            for run_id, status in earlier.items():
                if status == "RUNNING":
                    self._tracker.set_status(run_id, "KILLED")
            self._attempt = self._tracker.create_nested_run(self.run_id, f"{name}, attempt {len(earlier) + 1}")
        except StoreError as error:
            print(f"MLflow does not answer; this attempt gets no run of its own ({error})", flush=True)

    def attempt_tag(self, tags: dict[str, str]) -> None:
        """Set tags on this attempt's own run."""
        if self._attempt:
            self._say({"tags": tags, "run": self._attempt})

    def end_attempt(self, status: str) -> None:
        """It took so long and so much memory, and ended as FINISHED, FAILED or KILLED."""
        if self._attempt:
            now = now_milliseconds()
            taken = [
                Measurement("seconds", time.monotonic() - self._began, now, 0),
                Measurement("peak_memory_gib", peak_memory_gib(), now, 0),
            ]
            self._outbox.put({"metrics": taken, "run": self._attempt})
            self._outbox.put({"status": status, "run": self._attempt})

    def finish(self, patience: float) -> None:
        """The run ends as FINISHED.

        Raises:
            TrackingUnreachable: the server stayed away for `patience` seconds.
        """
        self._outbox.put({"status": "FINISHED"})
        self._outbox.sync()
        deadline = time.monotonic() + patience
        while (why := self._outbox.send(now=True)) is not None:
            if time.monotonic() > deadline:
                raise TrackingUnreachable(
                    f"MLflow does not answer, and {self._outbox.waiting()} entries of run {self.run_id} wait in {self._outbox.path}; the result "
                    f"is written. Start the server and run the same command again: it sends them and computes nothing anew ({why})"
                )
            time.sleep(1.0)

    def _say(self, entry: dict[str, Any]) -> None:
        self._outbox.put(entry)
        why = self._outbox.send()
        if why is not None and not self._away:
            print(f"MLflow does not answer; what it is told waits in {self._outbox.path} ({why})", flush=True)
        elif why is None and self._away:
            print("MLflow answers again and has been told what waited", flush=True)
        self._away = why is not None


@contextmanager
def open_patient_run(
    tracker: Tracker,
    experiment: str,
    name: str,
    params: dict[str, Any],
    tags: dict[str, str],
    snapshot: Path,
    work: Path,
    patience: float = PATIENCE,
) -> Iterator[PatientRun]:
    """As `tracking.runs.open_run`, for work that must not depend on the server: it is needed to begin, and by the end.

    Args:
        tracker, experiment, name, params, tags, snapshot: as there.
        work: folder that remembers the run and holds its outbox; a later attempt in it goes on with the same run.
        patience: seconds that the end waits for a server that is away.

    Raises:
        TrackingUnreachable: it cannot be reached for a new run, or at the end.
    """
    os.environ.update({name: value for name, value in HTTP.items() if name not in os.environ})
    remembered = work / "mlflow_run_id"
    try:
        if not remembered.is_file():
            run_id = begin_run(tracker, experiment, name, params, tags, snapshot)
            write_atomically(remembered, run_id.encode())
    except StoreError as error:
        remedy = "start the server, or name another store by MLFLOW_TRACKING_URI"
        raise TrackingUnreachable(
            f"MLflow at {tracker} does not answer, so no run can begin; {remedy} ({error})"
        ) from error
    run = PatientRun(Outbox(work / "mlflow_outbox.jsonl", tracker, remembered.read_text()), tracker)
    run.status("RUNNING")
    run.begin_attempt(name)
    try:
        with tracker.system_metrics(run.run_id):
            yield run
    except BaseException as error:
        ended = "KILLED" if isinstance(error, Stopped) else "FAILED"
        run.end_attempt(ended)
        run.status(ended)
        raise
    run.end_attempt("FINISHED")
    run.finish(patience)
