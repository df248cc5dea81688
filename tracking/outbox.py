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
from tracking.checkpoints import log_checkpoint
from tracking.mlflow_store import connect  # first: it sets what mlflow reads at import
from tracking.runs import Run, Stopped, create_run, log_metrics, nested_run
from tracking.system_metrics import peak_memory_gib, system_metrics

from mlflow.entities import Metric, RunTag  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # isort: skip

PAUSE = 30.0  # seconds between two tries while the server is away
PATIENCE = 30.0  # seconds that the end of a run waits for it
# mlflow itself would try for minutes, in the middle of a training step.
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class TrackingUnreachable(UserError):
    """MLflow does not answer; the message says what to do."""


class Outbox:
    """Entries of one run, sent in order."""

    def __init__(self, path: Path, client: MlflowClient, run_id: str):
        """`path` is made if it is not there; half a line that a kill left is cut off."""
        self.path, self._client, self.run_id = path, client, run_id
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
        except (MlflowException, OSError) as error:
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
            log_metrics(self._client, run_id, [Metric(*values) for values in entry["metrics"]])
        elif "checkpoint" in entry:
            log_checkpoint(self._client, run_id, entry["checkpoint"], entry["tags"])
        elif "tags" in entry:
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in entry["tags"].items()])
        elif "artifact" in entry:
            Run(self._client, run_id).artifact(Path(entry["artifact"]), entry["folder"])
        elif entry["status"] == "RUNNING":
            self._client.update_run(run_id, status="RUNNING")
        else:
            self._client.set_terminated(run_id, entry["status"])


class PatientRun(Run):
    """A run whose words go through an outbox. An outage is printed once; what waits is sent when the server is back."""

    def __init__(self, outbox: Outbox, client: MlflowClient):
        super().__init__(client, outbox.run_id)
        self._outbox, self._away = outbox, False
        self._attempt: str | None = None
        self._began = time.monotonic()

    def log_many(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Many steps in few requests; on the disk when this returns."""
        now = int(time.time() * 1000)
        self._say({"metrics": [[name, float(value), now, step] for step, row in rows for name, value in row.items()]})
        self._outbox.sync()

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        self._say({"tags": {name: str(value) for name, value in tags.items()}})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents; it must stay where it is until then."""
        self._say({"artifact": str(path), "folder": folder})

    def status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        self._say({"status": status})

    def checkpoint(self, name: str, tags: dict[str, str]) -> None:
        """The run has trained a checkpoint: a page for it in MLflow (`tracking.checkpoints`)."""
        self._say({"checkpoint": name, "tags": {key: str(value) for key, value in tags.items()}})

    def begin_attempt(self, name: str) -> None:
        """A nested run for what this process does of the run: when, on which machine, how it ended.

        An earlier attempt that never said how it ended was killed. Where MLflow is away now, this attempt has no run of its own.
        """
        try:
            home = self._client.get_run(self.run_id).info.experiment_id
            earlier = self._client.search_runs([home], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}'")
            for run in earlier:
                if run.info.status == "RUNNING":
                    self._client.set_terminated(run.info.run_id, "KILLED")
            self._attempt = nested_run(self._client, self.run_id, f"{name}, attempt {len(earlier) + 1}")
        except MlflowException as error:
            print(f"MLflow does not answer; this attempt gets no run of its own ({error})", flush=True)

    def attempt_tag(self, tags: dict[str, str]) -> None:
        """Set tags on this attempt's own run."""
        if self._attempt:
            self._say({"tags": tags, "run": self._attempt})

    def end_attempt(self, status: str) -> None:
        """It took so long and so much memory, and ended as FINISHED, FAILED or KILLED."""
        if self._attempt:
            now = int(time.time() * 1000)
            taken = [
                ["seconds", time.monotonic() - self._began, now, 0],
                ["peak_memory_gib", peak_memory_gib(), now, 0],
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
    tracking_uri: str,
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
        tracking_uri, experiment, name, params, tags, snapshot: as there.
        work: folder that remembers the run and holds its outbox; a later attempt in it goes on with the same run.
        patience: seconds that the end waits for a server that is away.

    Raises:
        TrackingUnreachable: it cannot be reached for a new run, or at the end.
    """
    os.environ.update({name: value for name, value in HTTP.items() if name not in os.environ})
    remembered, client = work / "mlflow_run_id", connect(tracking_uri)
    try:
        if not remembered.is_file():
            run_id = create_run(client, tracking_uri, experiment, name, params, tags, snapshot)
            write_atomically(remembered, run_id.encode())
    except MlflowException as error:
        remedy = "start the server, or name another store by MLFLOW_TRACKING_URI"
        raise TrackingUnreachable(
            f"MLflow at {tracking_uri} does not answer, so no run can begin; {remedy} ({error})"
        ) from error
    run = PatientRun(Outbox(work / "mlflow_outbox.jsonl", client, remembered.read_text()), client)
    run.status("RUNNING")
    run.begin_attempt(name)
    try:
        with system_metrics(tracking_uri, run.run_id):
            yield run
    except BaseException as error:
        ended = "KILLED" if isinstance(error, Stopped) else "FAILED"
        run.end_attempt(ended)
        run.status(ended)
        raise
    run.end_attempt("FINISHED")
    run.finish(patience)
