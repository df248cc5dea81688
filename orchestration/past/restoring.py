"""`omnihuman restore`: data, checkpoints and scores of a past state, into the workspace or a folder of their own."""

import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from assets.core.catalogue import STEPS
from assets.core.dvc_repository import open_repository
from assets.core.dvc_stages import ensure_repository, one_writer, record_waiting, write_params
from assets.core.names import LOCK
from assets.core.workspace import START, Workspace
from assets.kinds.signed_snapshots import take_signature_along
from assets.make.mark_current import adopt
from assets.past.dvc_remote import fetch_point, lay_out
from assets.past.restore_points import SNAPSHOT, RestorePoint, find_restore_point, keep_restore_point
from media import write_atomically
from media.file_lock import take_lock
from media.user_error import UserError

PROFILE = "profile.yaml"
UNCOMMITTED = "-dirty"  # behind a commit where tracked files had changes


class RestoreError(UserError):
    """A state that cannot be brought back here; the message says why and what to do."""


@dataclass
class Restored:
    """What was brought where.

    Attributes:
        point: the state.
        root: the folder that now holds it.
        adopted: (asset, shard) to content version of what is as today's code and settings would make it.
        outdated: assets that today's code or settings would make anew.
        notes: what a person should know.
    """

    point: RestorePoint
    root: Path
    adopted: dict[tuple[str, str | None], str] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def restore(
    workspace: Workspace, name: str, into: Path | None = None, force: bool = False, leave: Collection[str] = ()
) -> Restored:
    """Bring back the state that `name` means (`assets.past.restore_points.find_restore_point`).

    Killed at any point and started again, it ends in the same state. The list of withdrawn clips is always today's: no restore
    makes a withdrawn clip usable again.

    Args:
        workspace: whose restore points, DVC cache and remote are used.
        name: of the state.
        into: a new or empty folder, which becomes a workspace of its own; None replaces what the workspace holds.
        force: also where files would be lost that DVC's cache has not got.
        leave: assets that stay in the remote.

    Raises:
        RestoreError: the workspace is in use, holds unsaved files, or `into` is not empty.
        AssetError: there is no such state, or its bytes are nowhere.
    """
    ensure_repository(workspace)
    record_waiting(workspace)
    into = None if into is None else into.resolve()
    with one_writer(workspace):
        keep_restore_point(workspace)
        point = find_restore_point(workspace, name)
        for asset in leave:
            _refuse_to_leave(point, asset, into or workspace.root)
        brought = replace(point, outputs={name: made for name, made in point.outputs.items() if name not in leave})
        fetch_point(workspace, brought)
        if into is None:
            with _nobody_works(workspace):
                _check_out_here(workspace, brought, force)
            restored = Restored(brought, workspace.root)
        else:
            _check_out_into(workspace, brought, into)
            restored = Restored(brought, into)
    _adopt(workspace if into is None else None, restored)
    _note_withdrawn(restored)
    return restored


def _refuse_to_leave(point: RestorePoint, asset: str, root: Path) -> None:
    """What would not be what the state says: an asset that it has not got, or one that another state left there."""
    if asset not in point.outputs:
        raise RestoreError(f"{point.name} has no {asset}; it has {', '.join(point.outputs)}")
    if (root / "data" / asset).exists():
        raise RestoreError(
            f"{root / 'data' / asset} is there, of whatever state; --leave {asset} into a new folder, or remove it"
        )


def get_code(commit: str, folder: Path) -> Path:
    """Check this project's code out as it was at `commit`, as a git worktree in `folder`; one that is there already is left.

    Raises:
        RestoreError: the project is not under git, has no such commit, or `folder` holds something else.
    """
    project, wanted = Path(__file__).resolve().parents[2], commit.removesuffix(UNCOMMITTED)
    if (folder / ".git").is_file() and _git(folder, "rev-parse", "HEAD").stdout.strip() == wanted:
        return folder
    done = _git(project, "worktree", "add", "--detach", str(folder.resolve()), wanted)
    if done.returncode:
        raise RestoreError(
            f"the code of {commit} cannot be had: {done.stderr.strip()}; `git fetch`, or clone the project that made it"
        )
    return folder


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RestoreError("git is not installed, and it keeps the code of that time; install git") from error


@contextmanager
def _nobody_works(workspace: Workspace) -> Iterator[None]:
    """Hold the demo's lock, and refuse while Dagster has runs under way."""
    busy = f"a demo is running in {workspace.root}; wait for it, or restore --into a folder"
    with take_lock(workspace.var / "demo.lock", lambda: RestoreError(busy)):
        running = _unfinished_runs(workspace)
        if running:
            raise RestoreError(
                f"Dagster run {running[0]} is under way in {workspace.root}; wait for it, or restore --into a folder"
            )
        yield


def _unfinished_runs(workspace: Workspace) -> list[str]:
    if not (workspace.dagster_home / "dagster.yaml").is_file():
        return []
    import dagster as dg

    from orchestration.dagster_location.instance import STARTED_BY_DEMO, open_instance

    active = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    with open_instance(workspace) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=active))
    # We hold the demo's lock: a run of a demo that is still "started" was killed.
    return [run.run_id for run in runs if not STARTED_BY_DEMO.items() <= run.tags.items()]


def _check_out_here(workspace: Workspace, point: RestorePoint, force: bool) -> None:
    lock = workspace.root / LOCK
    before = lock.read_bytes() if lock.is_file() else None
    if before is not None:
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        write_atomically(workspace.var / "replaced_locks" / f"{stamp}.lock", before)
    write_params(workspace)
    _bring_start(point, workspace.root)
    write_atomically(lock, (point.folder / LOCK).read_bytes())
    try:
        _check_out(workspace.root, point, force)
    except RestoreError:
        if before is not None:
            write_atomically(lock, before)
        raise


def _check_out_into(workspace: Workspace, point: RestorePoint, folder: Path) -> None:
    began = folder / ".restoring"
    if folder.exists() and any(folder.iterdir()) and not began.is_file():
        raise RestoreError(
            f"{folder} is not empty; name a new folder, or leave --into away to restore into {workspace.root}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(began, point.name.encode())
    lay_out(workspace, point, folder)
    write_atomically(folder / workspace.tombstones.name, workspace.tombstones.read_bytes())
    shutil.copy2(point.folder / PROFILE, folder / PROFILE)
    _bring_start(point, folder)
    _check_out(folder, point, force=True)
    take_signature_along(workspace, folder)
    began.unlink()


def _bring_start(point: RestorePoint, root: Path) -> None:
    """Where the stages of that state began; a state that was frozen before a training, or by older code, has none."""
    if (point.folder / START).is_file():
        write_atomically(root / START, (point.folder / START).read_bytes())


def _check_out(root: Path, point: RestorePoint, force: bool) -> None:
    from dvc.exceptions import CheckoutError, DvcException

    targets = [f"{root / 'dvc.yaml'}:{name}" for name in point.outputs if name in STEPS]
    with chdir(root), open_repository(root, wait=True) as repo:
        try:
            repo.checkout(targets, force=force)
        except CheckoutError as error:
            raise RestoreError(
                f"DVC could not bring all of {point.name} into {root}: {error}; is the disk full? start it again"
            ) from error
        except DvcException as error:
            raise RestoreError(
                f"{root} holds files that DVC's cache has not got, and they would be lost: {error}; `--force` loses them"
            ) from error


def _adopt(workspace: Workspace | None, restored: Restored) -> None:
    from profiles import ProfileError, load_profile

    if workspace is None:
        try:
            workspace = Workspace(restored.root, load_profile(str(restored.root / PROFILE), []))
        except ProfileError as error:
            restored.notes.append(
                f"today's code does not understand the profile of that time, work on it with code {restored.point.code}: {error}"
            )
            return
    restored.adopted = adopt(workspace)
    found = {name for name, _ in restored.adopted}
    restored.outdated = [name for name in restored.point.outputs if name not in found]
    _tell_dagster(workspace, restored)
    _note_registry(workspace, restored)


def _tell_dagster(workspace: Workspace, restored: Restored) -> None:
    from orchestration.dagster_location.instance import open_instance
    from orchestration.past.restored_events import report_restored

    with open_instance(workspace) as instance:
        report_restored(instance, restored.adopted, restored.point.name)


def _note_registry(workspace: Workspace, restored: Restored) -> None:
    for model, version in restored.point.versions.items():
        if workspace.tracker.exists() and workspace.registry.has(model, version):
            continue
        restored.notes.append(
            f"{model} {version} is not in MLflow's store {workspace.tracker}, which is no part of a snapshot; name the server that has "
            "it by MLFLOW_TRACKING_URI, or register the restored weights: `python -m assets registered_model --force`"
        )


def _note_withdrawn(restored: Restored) -> None:
    import pyarrow.parquet as pq

    from assets.core.workspace import TOMBSTONES
    from curation.snapshot.withdrawals import read_tombstones

    gone = {clip for tombstone in read_tombstones(restored.root / TOMBSTONES) for clip in tombstone.clip_ids}
    samples = restored.root / "data" / SNAPSHOT / "samples.parquet"
    listed = gone & set(pq.read_table(samples, columns=["clip_id"]).column("clip_id").to_pylist()) if gone else set()
    if listed:
        restored.notes.append(
            f"{len(listed)} clips of it are withdrawn since: it may be looked at, and is not to be trained on"
        )
