"""One MLflow run per training or evaluation attempt: parameters, git commit, the data's digest, curves, artifacts."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

# Before mlflow is imported: nothing here loads pickles, and nothing is sent anywhere.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient


class DvcDatasetSource(DatasetSource):
    """A data set that DVC versions, named by path and digest."""

    def __init__(self, path: str, digest: str):
        self.path, self.digest = path, digest

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcDatasetSource":
        raise ValueError(f"{raw_source!r} is not a DVC source")

    def load(self, **kwargs: Any) -> Path:
        """The path; `dvc pull` brings its bytes."""
        return Path(self.path)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"path": self.path, "digest": self.digest}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> "DvcDatasetSource":
        """Inverse of `to_dict`."""
        return cls(source_dict["path"], source_dict["digest"])


class Run:
    """An open MLflow run. Metrics go in batches; the caller decides how many steps make one."""

    def __init__(self, client: MlflowClient, run_id: str, experiment_id: str):
        self._client, self.run_id, self.experiment_id = client, run_id, experiment_id

    def log(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log the metrics of one step."""
        self.log_many([(step, metrics)])

    def log_many(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Log many steps, at most 1,000 values a request as MLflow asks."""
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for step, row in rows for name, value in row.items()]
        for start in range(0, len(metrics), 1000):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + 1000])

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def figure(self, png: bytes, name: str) -> None:
        """Upload PNG bytes as `name`."""
        self._client.log_bytes(self.run_id, png, name) if hasattr(self._client, "log_bytes") else self._upload(png, name)

    def _upload(self, data: bytes, name: str) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(data)
            parent = str(Path(name).parent)
            self._client.log_artifact(self.run_id, str(path), None if parent == "." else parent)


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
        experiment: made if it does not exist; artifacts of a sqlite store lie in `mlartifacts` beside the database.
        name: of the run; the asset's.
        params: configuration.
        tags: anything else; the git commit is added.
        snapshot: a snapshot.json whose digest is logged as the input data set.
        run_id: of an interrupted attempt.
    """
    client = connect(tracking_uri)
    experiment_id = _experiment(client, tracking_uri, experiment)
    if run_id is None:
        run_id = client.create_run(experiment_id, run_name=name, tags={"git_commit": git_commit(), **(tags or {})}).info.run_id
        pairs = [Param(k, str(v)[:6000]) for k, v in (params or {}).items()]
        client.log_batch(run_id, params=pairs)
        if snapshot is not None:
            _log_snapshot(client, run_id, snapshot)
    else:
        client.update_run(run_id, status="RUNNING")
    try:
        yield Run(client, run_id, experiment_id)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def connect(tracking_uri: str) -> MlflowClient:
    """A client for runs and registry at the same address; a sqlite store's folder is made."""
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return MlflowClient(tracking_uri, tracking_uri)


def _experiment(client: MlflowClient, tracking_uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    location = None
    if tracking_uri.startswith("sqlite:///"):
        location = (Path(urlparse(tracking_uri).path.lstrip("/") and tracking_uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
    return client.create_experiment(name, artifact_location=location)


def _log_snapshot(client: MlflowClient, run_id: str, snapshot: Path) -> None:
    record = json.loads(snapshot.read_text())
    dataset = MetaDataset(DvcDatasetSource(str(snapshot.parent.name), record["digest"]), name="training_snapshot", digest=record["digest"][:32])
    from mlflow.entities import DatasetInput, InputTag

    client.log_inputs(run_id, [DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])])
    client.log_batch(run_id, tags=[RunTag("snapshot_digest", record["digest"])])


def git_commit() -> str:
    """The commit of the working tree, with `-dirty` when it has changes, or "none" outside git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head + ("-dirty" if dirty.stdout.strip() else "")
