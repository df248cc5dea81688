"""One run per training or evaluation attempt: parameters, git commit, the data's digest, curves, artifacts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracking.code_version import git_commit
from tracking.tracker import Measurement, StoreError, Tracker, now_milliseconds


class Stopped(Exception):
    """The work ends because somebody asked for it, and can go on later; MLflow's word for such a run is KILLED."""


class Run:
    """An open run. Metrics go in batches; the caller decides how many steps make one."""

    def __init__(self, tracker: Tracker, run_id: str):
        self._tracker, self.run_id = tracker, run_id

    def log(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log the metrics of one step."""
        self.log_many([(step, metrics)])

    def log_many(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Log many steps in few requests."""
        self._tracker.log_metrics(self.run_id, measurements(rows))

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        self._tracker.tag_run(self.run_id, tags)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder's contents."""
        self._tracker.upload(self.run_id, path, folder)

    def part(self, name: str, metrics: dict[str, float], trained_by: str | None) -> None:
        """A finished run nested in this one, for numbers that belong together: those of one of the models that it judges.

        Args:
            name: of the nested run.
            metrics: all at step 0; under the same names in each part, so that MLflow compares parts in one chart.
            trained_by: the run that trained the model; where it has a checkpoint's page, the numbers stand there too.
        """
        checkpoint = None if trained_by is None else self._tracker.checkpoint_of(trained_by)
        part = self._tracker.create_nested_run(self.run_id, name)
        self._tracker.log_metrics(part, measurements([(0, metrics)]), checkpoint)
        self._tracker.set_status(part, "FINISHED")

    def figure(self, png: bytes, name: str) -> None:
        """Upload PNG bytes as `name`, which may hold folders."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(png)
            parent = Path(name).parent.as_posix()
            self.artifact(path, None if parent == "." else parent)


@contextmanager
def open_run(
    tracker: Tracker,
    experiment: str,
    name: str,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    snapshot: Path | None = None,
    run_id: str | None = None,
) -> Iterator[Run]:
    """Open a new run, or go on with `run_id`; it ends as FINISHED, or as FAILED when the block raises.

    Args:
        tracker: that keeps it.
        experiment, name, params, snapshot: as of `Tracker.create_run`.
        tags: anything else; the git commit is added.
        run_id: of an interrupted attempt.
    """
    if run_id is None:
        run_id = begin_run(tracker, experiment, name, params, tags, snapshot)
    else:
        tracker.set_status(run_id, "RUNNING")
    try:
        yield Run(tracker, run_id)
    except BaseException as error:  # also Ctrl-C: a run that nobody works on must not stay RUNNING
        try:
            tracker.set_status(run_id, "FAILED")
        except StoreError as away:  # which must not stand in the way of what went wrong
            error.add_note(f"MLflow was not told that run {run_id} failed: {away}")
        raise
    tracker.set_status(run_id, "FINISHED")


def begin_run(
    tracker: Tracker,
    experiment: str,
    name: str,
    params: dict[str, Any] | None,
    tags: dict[str, str] | None,
    snapshot: Path | None,
) -> str:
    """Begin a run that says which commit it is of; returns its id. Arguments as of `open_run`."""
    return tracker.create_run(experiment, name, params or {}, {"git_commit": git_commit(), **(tags or {})}, snapshot)


def measurements(rows: list[tuple[int, dict[str, float]]]) -> list[Measurement]:
    """Metrics of some steps, measured now."""
    now = now_milliseconds()
    return [Measurement(name, float(value), now, step) for step, row in rows for name, value in row.items()]
