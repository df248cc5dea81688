"""The tracker: one MLflow store with its runs, their metrics, data sets and checkpoints. One object, one client.

A checkpoint is MLflow's LoggedModel: a page under the run that trained it, where the scores of later runs gather. It holds no file:
DVC keeps the weights, the page names their digest.
"""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tracking.experiments import DEFAULT, DESCRIPTION, described
from tracking.mlflow_store import connect, store_file  # first: it sets what mlflow reads at import
from tracking.moved_store import artifact_folder

from mlflow.entities import Metric, Param, RunTag  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # isort: skip

logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)  # begins and ends are no news

StoreError = MlflowException  # what a store raises that refuses a request or does not answer
SNAPSHOT = "snapshot_digest"  # tag of a run: the snapshot that it worked on
CHECKPOINT = "transformer checkpoint"  # kind of a LoggedModel
METRICS_PER_REQUEST, RUNS_PER_PAGE = 1000, 1000  # MLflow's own limits
PARAMETER_LENGTH = 6000


class Measurement(NamedTuple):
    """One value of a metric, with the time (milliseconds since 1970) at which it was measured."""

    name: str
    value: float
    milliseconds: int
    step: int


@dataclass(frozen=True)
class SnapshotRun:
    """One run that has a snapshot: its experiment and name, and the snapshot's digest."""

    run_id: str
    experiment: str
    name: str
    snapshot_digest: str


class Tracker:
    """The MLflow store at an address. Nothing is asked of it, and no client made, before the first question."""

    def __init__(self, uri: str):
        """`uri` is `sqlite:///FILE` or a server's address."""
        self.uri = uri

    def __str__(self) -> str:
        return self.uri

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client for this store."""
        return connect(self.uri)

    def ensure(self) -> None:
        """Make the store where there is none; one of this machine holds no empty experiment of MLflow's own, and says what the others are."""
        if not self.is_local:
            _ = self.client
            return
        self._forget_default()
        for known in self.client.search_experiments():
            text = described(known.name)
            if text and not known.tags.get(DESCRIPTION):
                self.client.set_experiment_tag(known.experiment_id, DESCRIPTION, text)

    def exists(self) -> bool:
        """Whether anything was ever tracked there; asking a fresh sqlite store would make it."""
        file = store_file(self.uri)
        return file is None or file.is_file()

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine, and so are its artifacts."""
        return store_file(self.uri) is not None

    def experiment_id(self, name: str) -> str:
        """The experiment's id; it is made on first use. Artifacts of a sqlite store lie in `mlartifacts` beside it."""
        known = self.client.get_experiment_by_name(name)
        if known is not None:
            return known.experiment_id
        file = store_file(self.uri)
        location = None if file is None else artifact_folder(file).as_uri()
        if {other.experiment_id for other in self.client.search_experiments()} == {DEFAULT}:
            self._forget_default()  # a store that nobody else uses
        text = described(name)
        try:
            return self.client.create_experiment(name, location, {DESCRIPTION: text} if text else None)
        except MlflowException:
            # Two processes asked at once and the other one made it.
            known = self.client.get_experiment_by_name(name)
            if known is None:
                raise
            return known.experiment_id

    def _forget_default(self) -> None:
        """Hide the experiment that MLflow makes with every store, while nothing is in it: the pages open with it otherwise."""
        there = any(found.experiment_id == DEFAULT for found in self.client.search_experiments())
        if there and not self.client.search_runs([DEFAULT], max_results=1):
            self.client.delete_experiment(DEFAULT)

    def experiment_of(self, run_id: str) -> str:
        """Id of the experiment that a run is in."""
        return self.client.get_run(run_id).info.experiment_id

    def create_run(
        self, experiment: str, name: str, params: dict[str, Any], tags: dict[str, str], snapshot: Path | None
    ) -> str:
        """Begin a run; returns its id.

        Args:
            experiment: made if it does not exist.
            name: of the run; the asset's.
            params: configuration.
            tags: anything else.
            snapshot: a snapshot.json whose digest is logged as the input data set.
        """
        run_id = self.client.create_run(self.experiment_id(experiment), run_name=name, tags=tags).info.run_id
        self.client.log_batch(run_id, params=[Param(k, str(v)[:PARAMETER_LENGTH]) for k, v in params.items()])
        if snapshot is not None:
            from tracking.datasets import snapshot_input

            dataset, digest = snapshot_input(snapshot)
            self.client.log_inputs(run_id, [dataset])
            self.tag_run(run_id, {SNAPSHOT: digest})
        return run_id

    def create_nested_run(self, parent: str, name: str) -> str:
        """Begin a run inside run `parent`; returns its id."""
        tags = {MLFLOW_PARENT_RUN_ID: parent, "host": socket.gethostname()}
        return self.client.create_run(self.experiment_of(parent), run_name=name, tags=tags).info.run_id

    def nested_runs(self, parent: str) -> dict[str, str]:
        """Id of each run inside run `parent`, to its status."""
        nested = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"
        runs = self.client.search_runs([self.experiment_of(parent)], nested)
        return {run.info.run_id: run.info.status for run in runs}

    def set_status(self, run_id: str, status: str) -> None:
        """A run is RUNNING (again), or ends as FINISHED, FAILED or KILLED."""
        if status == "RUNNING":
            self.client.update_run(run_id, status=status)
        else:
            self.client.set_terminated(run_id, status)

    def tag_run(self, run_id: str, tags: dict[str, str]) -> None:
        """Set tags of a run."""
        self.client.log_batch(run_id, tags=[RunTag(name, str(value)) for name, value in tags.items()])

    def log_metrics(self, run_id: str, measured: Sequence[Measurement], checkpoint: str | None = None) -> None:
        """Log metrics of a run in as few requests as MLflow takes; with the id of a checkpoint's page, they stand there too."""
        metrics = [Metric(name, value, at, step, model_id=checkpoint) for name, value, at, step in measured]
        for start in range(0, len(metrics), METRICS_PER_REQUEST):
            self.client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])

    def upload(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents, as artifacts of a run."""
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), folder)
        else:
            self.client.log_artifact(run_id, str(path), folder)

    @contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        """While the block runs, metrics `system/...` of the run, every 10 s; a later attempt's follow the earlier one's.

        MLflow's own sampling of CPU, memory, disk, network and GPU. `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` changes the seconds.
        A server that goes away ends them with a warning and nothing else.
        """
        monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=self.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def log_checkpoint(self, run_id: str, name: str, tags: dict[str, str]) -> str:
        """Make the page of the run's checkpoint where there is none, and set its tags; returns its id.

        Args:
            run_id: the run that trained it.
            name: the asset's.
            tags: what says which weights they are.
        """
        page = self.checkpoint_of(run_id)
        if page is None:
            made = self.client.create_logged_model(
                self.experiment_of(run_id), name=name, source_run_id=run_id, model_type=CHECKPOINT
            )
            page = made.model_id
            self.client.finalize_logged_model(page, "READY")
        self.client.set_logged_model_tags(page, tags)
        return page

    def checkpoint_of(self, run_id: str) -> str | None:
        """Id of the page of the checkpoint that the run trained, or None, also where the run is of another store; pipelines in the registry are none."""
        try:
            experiment = self.experiment_of(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        trained = f"source_run_id = '{run_id}' AND model_type = '{CHECKPOINT}'"
        pages = self.client.search_logged_models([experiment], filter_string=trained)
        return pages[0].model_id if pages else None

    def runs_with_snapshots(self) -> list[SnapshotRun]:
        """Every run, of training or evaluation, that names a snapshot; oldest first."""
        if not self.exists():
            return []
        experiments = {experiment.experiment_id: experiment.name for experiment in self.client.search_experiments()}
        return [
            SnapshotRun(
                run.info.run_id,
                experiments[run.info.experiment_id],
                run.info.run_name or "",
                run.data.tags[SNAPSHOT],
            )
            for run in self._runs(list(experiments))
            if run.data.tags.get(SNAPSHOT)
        ]

    def _runs(self, experiments: list[str]) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                experiments, max_results=RUNS_PER_PAGE, page_token=token, order_by=["attributes.start_time ASC"]
            )
            yield from page
            token = page.token
            if not token:
                return


def now_milliseconds() -> int:
    """The time as metrics carry it."""
    return int(time.time() * 1000)
