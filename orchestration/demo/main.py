"""The main job: every asset in order, only what is missing or out of date, and a page of results at the end."""

import os
import resource
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import AcquireReturnProxy, BaseFileLock
from rich.markup import escape

from assets.core.catalogue import FLOW, STEPS
from assets.core.names import LOCK
from assets.core.workspace import Workspace
from assets.make.execute import is_current
from media.file_lock import take_lock
from media.user_error import UserError
from orchestration.demo.console import DemoConsole
from orchestration.demo.summary import print_results
from training.run.warm import warm_trainings

if TYPE_CHECKING:
    from dagster import DagsterInstance


_instances: dict[Path, "DagsterInstance"] = {}


class DemoError(UserError):
    """An asset failed; the message says which, why, and where its log is."""


def run_demo(workspace: Workspace, real_clips: bool = True) -> None:
    """Set up the inbox, make every asset that is not current, print the results.

    Raises:
        DemoError: an asset failed. What was finished stays; starting again goes on from there.
    """
    started = time.monotonic()
    with hold_alone(workspace):
        console = DemoConsole()
        console.line(f"[bold]OmniHuman demo[/bold], profile {workspace.profile.name}, root {workspace.root}")
        _say_where_it_ends(workspace, console)
        _fill_inbox(workspace, console, real_clips)
        set_up_repository(workspace, console)
        with warm_trainings():
            made, seen = make_assets(workspace, console, [step.name for step in FLOW])
        usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print_results(workspace, console)
    console.line(
        f"{made} of {seen} assets computed in {time.monotonic() - started:.0f} s; "
        f"largest process {usage / 2**20:.1f} GiB"
    )


def _say_where_it_ends(workspace: Workspace, console: DemoConsole) -> None:
    """Clips are scored and encoded whoever judges; the first training is refused, and whoever waits for it is told before the hours that come first."""
    from assets.kinds.judging.judgeable import foreseen

    for reason in foreseen(workspace):
        console.line(f"[yellow]ends before the first training[/yellow], as it stands: {escape(reason)}")


def make_assets(workspace: Workspace, console: DemoConsole, names: Sequence[str]) -> tuple[int, int]:
    """Make these assets in order, every shard of each; gives how many were made, and how many there are.

    Raises:
        DemoError: one failed.
    """
    made = seen = 0
    for name in names:
        for shard in _partitions(workspace, name):
            seen += 1
            label = name if shard is None else f"{name} {shard}"
            if is_current(workspace, STEPS[name], shard):
                console.line(f"  current {label}")
                continue
            _materialize(workspace, console, name, shard, label)
            made += 1
    return made, seen


def hold_alone(workspace: Workspace) -> AcquireReturnProxy[BaseFileLock]:
    """Lock the workspace for this demo; the lock ends with the process, however that ends, and says whose it is."""
    path = workspace.var / "demo.lock"

    def busy() -> DemoError:
        whose = path.read_text() or "it just began"
        return DemoError(f"another demo is running in {workspace.root} ({whose}); wait for it or stop it")

    lock = take_lock(path, busy)
    path.write_text(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    return lock


def _fill_inbox(workspace: Workspace, console: DemoConsole, real_clips: bool) -> None:
    from orchestration.demo.inbox_corpus import fill_inbox, missing_clips

    marker = workspace.var / "demo-corpus-done"
    demo = workspace.profile.demo
    if demo is not None and not (marker.is_file() and marker.read_text() == demo.model_dump_json()):
        if missing_clips(workspace, demo) or not marker.is_file():
            progress = workspace.progress("inbox")
            with console.step(f"inbox: {demo.world}", progress, workspace.logs / "inbox.log"):
                fill_inbox(workspace, demo, progress)
        if real_clips:
            from curation.intake.real_clips import TRAINING_CLIPS, fetch_real_clips

            with console.step("inbox: real clips", workspace.progress("real_clips"), workspace.logs / "inbox.log"):
                fetched = fetch_real_clips(workspace.inbox / "real", TRAINING_CLIPS)
            if fetched.note:
                console.line(f"          {fetched.note}")
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(demo.model_dump_json())


def set_up_repository(workspace: Workspace, console: DemoConsole) -> None:
    """Make the home a DVC repository, and take over data that stands there and that nothing here made."""
    from assets.core.dvc_stages import ensure_repository

    if not (workspace.root / ".dvc").is_dir() or not (workspace.root / "dvc.yaml").is_file():
        with console.step("dvc: repository", workspace.progress("dvc"), workspace.logs / "dvc.log"):
            ensure_repository(workspace)
    if (workspace.root / LOCK).is_file() and not (workspace.var / "records").is_dir():
        # A fresh clone after `dvc pull`: data stands that no demo made here.
        from assets.make.mark_current import adopt

        with console.step("dvc: data that was pulled", workspace.progress("dvc"), workspace.logs / "dvc.log"):
            adopt(workspace)


def _partitions(workspace: Workspace, name: str) -> Sequence[str | None]:
    if not STEPS[name].sharded:
        return [None]
    if name != "raw_clips":
        return [*workspace.shards("raw_clips")]
    from assets.core.shard_plans import plan_new_shards

    return sorted({*workspace.shards("raw_clips"), *plan_new_shards(workspace)})


def _materialize(workspace: Workspace, console: DemoConsole, name: str, shard: str | None, label: str) -> None:
    """One Dagster run of one asset (or shard), recorded in the persistent instance that `make ui` shows."""
    log = workspace.logs / f"{name}.log"
    with console.step(label, workspace.progress(name, shard), log):
        try:
            _run_in_dagster(workspace, name, shard)
        except KeyboardInterrupt:
            raise
        except Exception as error:
            raise DemoError(
                f"{label}: {_root_cause(error, log)} (log: {log}; start again to go on from here)"
            ) from error


def _run_in_dagster(workspace: Workspace, name: str, shard: str | None) -> None:
    import dagster as dg

    from orchestration.dagster_location.instance import STARTED_BY_DEMO
    from orchestration.definitions import defs

    instance = _instance(workspace)
    if shard is not None and shard not in instance.get_dynamic_partitions("shard"):
        instance.add_dynamic_partitions("shard", [shard])
        instance.report_runless_asset_event(dg.AssetObservation("inbox", metadata={"shards": [shard]}))
    job = defs.resolve_implicit_global_asset_job_def()
    job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name)],
        partition_key=shard,
        raise_on_error=True,
        tags=STARTED_BY_DEMO,
    )


def _instance(workspace: Workspace) -> "DagsterInstance":
    """Opened with the first asset that must be made: a demo that computes nothing never imports Dagster."""
    from orchestration.dagster_location.instance import end_abandoned_runs, open_instance

    if workspace.root not in _instances:
        _instances[workspace.root] = open_instance(workspace)
        end_abandoned_runs(_instances[workspace.root])
    return _instances[workspace.root]


def _root_cause(error: BaseException, log: Path) -> str:
    """The first cause; for a process of its own, the error that its rank 0 printed last."""
    while error.__cause__ is not None and type(error).__name__ != "DagsterPipesExecutionError":
        error = error.__cause__
    if type(error).__name__ == "DagsterPipesExecutionError":
        printed = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("[rank0]: ")]
        named = [line.removeprefix("[rank0]: ") for line in printed if not line.startswith("[rank0]:  ")]
        if named:
            return named[-1]
    return f"{type(error).__name__}: {error}".strip()
