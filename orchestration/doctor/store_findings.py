"""What `omnihuman doctor` asks of the stores: Dagster's home, MLflow, DVC, the list of withdrawals, a remote inbox."""

import json
import os
from collections.abc import Iterator

from assets.core.dvc_repository import cache_elsewhere
from assets.core.steps import AssetError
from assets.core.workspace import INBOX_VARIABLE, Workspace
from media.user_error import UserError
from orchestration.doctor.finding import Finding
from tracking.mlflow_store import sqlite_fault, store_health


def store_findings(workspace: Workspace) -> Iterator[Finding]:
    """All of them; a store that was never used is no fault, and is not made."""
    yield _dagster(workspace)
    store = Finding("MLflow's store", *store_health(workspace.tracking_uri))
    yield store
    if store.ok:
        yield _champion(workspace)
    yield _dvc(workspace)
    yield _withdrawals(workspace)
    url = os.environ.get(INBOX_VARIABLE, "")
    if url:
        yield _remote_inbox(url)


def _dagster(workspace: Workspace) -> Finding:
    home = workspace.dagster_home
    files = [
        path
        for path in (
            home / "history" / "runs.db",
            home / "schedules" / "schedules.db",
            home / "history" / "runs" / "index.db",
        )
        if path.is_file()
    ]
    if not files:
        return Finding("Dagster's store", True, f"{home}: empty; `omnihuman demo` or `omnihuman ui` makes it")
    for path in files:
        fault = sqlite_fault(path)
        if fault:
            return Finding(
                "Dagster's store",
                False,
                f"{path}: {fault}; stop all processes, move {home} away and start again: products and MLflow stay",
            )
    return Finding("Dagster's store", True, str(home))


def _champion(workspace: Workspace) -> Finding:
    """What was promoted is there, with its files; anybody can delete it on MLflow's page."""
    from assets.core.names import STUDENT
    from assets.kinds.registration.registered_versions import where_champion_stands

    try:
        stands, line = where_champion_stands(workspace)
        champion = workspace.registry.at_alias(STUDENT) if workspace.tracker.exists() else None
        if champion is not None and workspace.tracker.is_local:
            workspace.registry.folder(STUDENT, champion.version)  # a server's would be downloaded
    except UserError as error:
        return Finding("champion", False, str(error))
    return Finding("champion", stands, line)


def _dvc(workspace: Workspace) -> Finding:
    from assets.core.dvc_lock import DvcLock
    from assets.core.names import LOCK

    if not (workspace.root / ".dvc").is_dir():
        return Finding("DVC", True, f"{workspace.root} is no repository yet; `omnihuman demo` makes it")
    try:
        lock = workspace.root / LOCK
        stages = list(DvcLock.read(lock).stages.values()) if lock.is_file() else []
    except AssetError as error:
        return Finding("DVC", False, str(error))
    cache = workspace.root / ".dvc" / "cache" / "files" / "md5"
    elsewhere = cache_elsewhere(workspace.root)
    if elsewhere is not None and not elsewhere.is_dir():
        return Finding(
            "DVC",
            False,
            f"its cache {elsewhere} is gone; bring it back, or name where it is now by `dvc cache dir FOLDER`",
        )
    if not cache.is_dir():
        return Finding(
            "DVC", True, f"{len(stages)} stages in dvc.lock; its cache is elsewhere or empty: `dvc pull` brings data"
        )
    cached = [stage for stage in stages if stage.made and (cache / stage.made[:2] / stage.made[2:]).is_file()]
    absent = [stage.name for stage in stages if stage not in cached and not workspace.data(stage.name).is_dir()]
    if absent:
        return Finding(
            "DVC",
            False,
            f"neither data nor DVC's cache has {', '.join(absent)} as dvc.lock names it; `dvc pull`, or make it again",
        )
    return Finding("DVC", True, f"{len(stages)} stages in dvc.lock, {len(cached)} of them in the cache")


def _withdrawals(workspace: Workspace) -> Finding:
    from curation.errors import CurationError
    from curation.snapshot.withdrawals import read_tombstones

    try:
        return Finding(
            "withdrawals", True, f"{len(read_tombstones(workspace.tombstones))} in {workspace.tombstones.name}"
        )
    except CurationError as error:
        return Finding("withdrawals", False, str(error))


def _remote_inbox(url: str) -> Finding:
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.ls(path, detail=False)
    except (OSError, ValueError, ImportError) as error:
        remedy = "check the address, the credentials, and `pip install 'omnihuman-pipeline[s3]'` for s3://"
        return Finding("remote inbox", False, f"{url} cannot be listed ({json.dumps(str(error))[:200]}); {remedy}")
    return Finding("remote inbox", True, url)
