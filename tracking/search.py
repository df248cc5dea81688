"""Which runs and registered versions were made from which snapshot."""

from dataclasses import dataclass
from pathlib import Path

from tracking.mlflow_store import SQLITE, connect  # first: it sets what mlflow reads at import

from tracking.registry import Version, list_versions  # isort: skip

PAGE = 1000  # MLflow's own limit for one answer
TAG = "snapshot_digest"


@dataclass(frozen=True)
class SnapshotRun:
    """One run that has a snapshot: its experiment and name, and the snapshot's digest."""

    run_id: str
    experiment: str
    name: str
    snapshot_digest: str


def store_exists(tracking_uri: str) -> bool:
    """Whether anything was ever tracked there; asking a fresh sqlite store would make it."""
    return not tracking_uri.startswith(SQLITE) or Path(tracking_uri.removeprefix(SQLITE)).is_file()


def runs_with_snapshots(tracking_uri: str) -> list[SnapshotRun]:
    """Every run, of training or evaluation, that names a snapshot; oldest first."""
    if not store_exists(tracking_uri):
        return []
    client = connect(tracking_uri)
    experiments = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
    found, token = [], None
    while True:
        page = client.search_runs(
            list(experiments), max_results=PAGE, page_token=token, order_by=["attributes.start_time ASC"]
        )
        for run in page:
            digest = run.data.tags.get(TAG)
            if digest:
                name = run.info.run_name or ""
                found.append(SnapshotRun(run.info.run_id, experiments[run.info.experiment_id], name, digest))
        token = page.token
        if not token:
            return found


def versions_with_snapshots(tracking_uri: str, names: tuple[str, ...]) -> list[Version]:
    """Every version of the named models that says which snapshot it was trained on."""
    if not store_exists(tracking_uri):
        return []
    return [version for name in names for version in list_versions(tracking_uri, name) if version.tags.get(TAG)]
