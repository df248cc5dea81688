"""One MLflow run per training or evaluation attempt: parameters, git commit, the data's digest, curves, artifacts."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracking.mlflow_store import connect, experiment_id  # first: it sets what mlflow reads at import

from mlflow.entities import Metric, Param, RunTag  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # isort: skip

from tracking.checkpoints import checkpoint_of_run  # isort: skip

METRICS_PER_REQUEST = 1000  # MLflow's own limit
PARAMETER_LENGTH = 6000


class Stopped(Exception):
    """The work ends because somebody asked for it, and can go on later; MLflow's word for such a run is KILLED."""


class Run:
    """An open MLflow run. Metrics go in batches; the caller decides how many steps make one."""

    def __init__(self, client: MlflowClient, run_id: str):
        self._client, self.run_id = client, run_id

    def log(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log the metrics of one step."""
        self.log_many([(step, metrics)])

    def log_many(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Log many steps in few requests."""
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for step, row in rows for name, value in row.items()]
        log_metrics(self._client, self.run_id, metrics)

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def part(self, name: str, metrics: dict[str, float], trained_by: str | None) -> None:
        """A finished run nested in this one, for numbers that belong together: those of one of the models that it judges.

        Args:
            name: of the nested run.
            metrics: all at step 0; under the same names in each part, so that MLflow compares parts in one chart.
            trained_by: the run that trained the model; where it has a checkpoint's page, the numbers stand there too.
        """
        model = None if trained_by is None else checkpoint_of_run(self._client, trained_by)
        part = nested_run(self._client, self.run_id, name)
        now = int(time.time() * 1000)
        values = [Metric(key, float(value), now, 0, model_id=model) for key, value in metrics.items()]
        log_metrics(self._client, part, values)
        self._client.set_terminated(part, "FINISHED")

    def figure(self, png: bytes, name: str) -> None:
        """Upload PNG bytes as `name`, which may hold folders."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(png)
            parent = Path(name).parent.as_posix()
            self.artifact(path, None if parent == "." else parent)


@contextmanager
def open_run(
    tracking_uri: str,
    experiment: str,
    name: str,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    snapshot: Path | None = None,
    run_id: str | None = None,
) -> Iterator[Run]:
    """Open a new run, or go on with `run_id`; it ends as FINISHED, or as FAILED when the block raises.

    Args:
        tracking_uri: `sqlite:///...` or a server.
        experiment: made if it does not exist.
        name: of the run; the asset's.
        params: configuration.
        tags: anything else; the git commit is added.
        snapshot: a snapshot.json whose digest is logged as the input data set.
        run_id: of an interrupted attempt.
    """
    client = connect(tracking_uri)
    if run_id is None:
        run_id = create_run(client, tracking_uri, experiment, name, params, tags, snapshot)
    else:
        client.update_run(run_id, status="RUNNING")
    try:
        yield Run(client, run_id)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def create_run(
    client: MlflowClient,
    tracking_uri: str,
    experiment: str,
    name: str,
    params: dict[str, Any] | None,
    tags: dict[str, str] | None,
    snapshot: Path | None,
) -> str:
    """Begin a run, with its parameters, tags and data; returns its id. Arguments as of `open_run`."""
    first_tags = {"git_commit": git_commit(), **(tags or {})}
    run_id = client.create_run(
        experiment_id(client, tracking_uri, experiment), run_name=name, tags=first_tags
    ).info.run_id
    client.log_batch(run_id, params=[Param(k, str(v)[:PARAMETER_LENGTH]) for k, v in (params or {}).items()])
    if snapshot is not None:
        from tracking.datasets import log_snapshot

        log_snapshot(client, run_id, snapshot)
    return run_id


def log_metrics(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    """In as few requests as MLflow takes."""
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])


def nested_run(client: MlflowClient, parent: str, name: str) -> str:
    """Begin a run inside run `parent`; returns its id."""
    experiment = client.get_run(parent).info.experiment_id
    return client.create_run(
        experiment, run_name=name, tags={MLFLOW_PARENT_RUN_ID: parent, "host": socket.gethostname()}
    ).info.run_id


def git_commit() -> str:
    """The commit of this code, with `-dirty` when tracked files have changes, or "none" outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        dirty = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head + ("-dirty" if dirty else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
