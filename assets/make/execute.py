"""Run one step the same way from Dagster, DVC and the command line, and remember what it was made from."""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assets.core.build_lock import one_maker
from assets.core.catalogue import STEPS
from assets.core.dvc_stages import record_in_dvc, record_shard, record_waiting
from assets.core.steps import AssetError, Elsewhere, Execution, Launcher, Metadata, Report, Step
from assets.core.versions import content_version, fingerprint, fresh_version, signature
from assets.core.workspace import Workspace
from assets.kinds.contract_checks import contract_checks
from assets.launchers.settings import LAUNCHER_FILE, RaySettings, launcher_settings, missing
from assets.make.page_pictures import keep_pictures
from media import write_atomically
from tracking.progress import ProgressFile

if TYPE_CHECKING:
    from training.run.launch import Process

# What these leave is a state that can be restored; after a snapshot and a promotion it goes to the DVC remote too.
KEPT_AFTER = ("training_snapshot", "benchmark_scores", "registered_model", "promoted_champion")
PUSHED_AFTER = ("training_snapshot", "promoted_champion")
ON_CLUSTERS = ("clip_scores", "condition_features")


@dataclass(frozen=True)
class Outcome:
    """What an execution left: the content version, seconds, and what the asset's page shows."""

    data_version: str
    seconds: float
    metadata: Metadata


def is_current(workspace: Workspace, step: Step, shard: str | None = None) -> bool:
    """Whether the product is there, also outside its folder, and was made from exactly today's inputs, settings and code version.

    Raises:
        tracking.registry.RegistryError: MLflow, where versions are registered, does not answer.
    """
    record = workspace.record(step.name, shard)
    if not record.is_file() or not (workspace.data(step.name, shard) / step.marker).is_file():
        return False
    recorded = json.loads(record.read_text())
    if recorded["data_version"] != content_version(workspace, step, shard):
        return False
    return recorded["fingerprint"] == fingerprint(workspace, step, shard, STEPS) and step.still_stands(workspace)


def execute(
    workspace: Workspace,
    step: Step,
    shard: str | None = None,
    launch: Launcher | None = None,
    tell: Report | None = None,
) -> Outcome:
    """Make one asset, or one shard of it.

    The record is written last: whatever was killed before it runs again, and finds what it had finished. Two that ask for the
    same at once do the work once: the second waits and takes over what the first made.

    Args:
        workspace, step, shard: what, and where.
        launch: starts trainings; by default on this machine.
        tell: is told the progress too, beside the file that others watch.

    Raises:
        AssetError: the step has shards and none is named, or the other way round, or the product did not appear.
    """
    if step.sharded != (shard is not None):
        raise AssetError(
            f"{step.name} is made {'per shard: name one' if step.sharded else 'as a whole: name no shard'}"
        )
    with one_maker(workspace, step.name, shard) as waited:
        if waited and is_current(workspace, step, shard):
            return Outcome(
                content_version(workspace, step, shard), 0.0, {"made_by": "another run, which this one waited for"}
            )
        return _execute(workspace, step, shard, launch, tell)


def _execute(
    workspace: Workspace, step: Step, shard: str | None, launch: Launcher | None, tell: Report | None
) -> Outcome:
    _hold_up_behind_failed_checks(workspace, step, shard)
    _refuse_unjudgeable(workspace, step)
    started = time.monotonic()
    made_from = fingerprint(workspace, step, shard, STEPS)
    report = _told_to(ProgressFile(workspace.progress(step.name, shard)), tell)
    elsewhere = cluster() if step.name in ON_CLUSTERS else None
    shown = step.maker()(Execution(step.name, workspace, shard, made_from, report, launch or run_process, elsewhere))
    metadata: Metadata = keep_pictures(workspace, step.name, shard, shown, step.cover)
    folder = workspace.data(step.name, shard)
    if not (folder / step.marker).is_file():
        raise AssetError(f"{step.name} ended and {folder / step.marker} is not there; its code must write it")
    version = fresh_version(workspace, step, shard)
    seconds = time.monotonic() - started
    if step.in_dvc:
        _record_in_dvc(workspace, step)
        metadata = {**metadata, **_keep_restore_point(workspace, step)}
    record = {
        "fingerprint": made_from,
        "data_version": version,
        "signature": signature(folder),
        "seconds": round(seconds, 2),
    }
    write_atomically(workspace.record(step.name, shard), json.dumps(record, indent=1).encode())
    shutil.rmtree(workspace.scratch(step.name), ignore_errors=True)
    workspace.progress(step.name, shard).unlink(missing_ok=True)
    return Outcome(version, seconds, metadata)


def _told_to(first: Report, second: Report | None) -> Report:
    def both(done: int, total: int, note: str = "") -> None:
        for report in (first, second):
            if report is not None:
                report(done, total, note)

    return both


def cluster() -> Elsewhere | None:
    """Where a shard's clips are worked on: on the cluster that `$OMNIHUMAN_LAUNCHER` names with `curation`, None for this machine.

    Raises:
        LauncherError: the settings do not validate, or Ray is not installed.
    """
    settings = launcher_settings()
    if not isinstance(settings, RaySettings) or settings.curation is None:
        return None
    try:
        from assets.launchers.ray_shard import run_shard_on_ray
    except ImportError as error:
        raise missing(settings, error.name) from error
    return partial(run_shard_on_ray, settings=settings)


def _refuse_unjudgeable(workspace: Workspace, step: Step) -> None:
    """Say before the first asset what the last one would stumble over: a criterion of no metric; and before a training one that nothing here
    can measure, or a benchmark that cannot be had."""
    from evaluation.scoring.criteria import demands

    demands(workspace.profile.gate)
    if step.group in ("training", "distillation") or step.name == "training_snapshot":
        from assets.kinds.judging.judgeable import judgeable

        judgeable(workspace)


def _record_in_dvc(workspace: Workspace, step: Step) -> None:
    if step.sharded:
        record_shard(workspace, step)
        return
    if any(STEPS[name].sharded for name in step.upstream):
        record_waiting(workspace)
    record_in_dvc(workspace, step)


def _keep_restore_point(workspace: Workspace, step: Step) -> Metadata:
    if step.name not in KEPT_AFTER or os.environ.get("DVC_STAGE"):  # `dvc repro` writes its lock after this process
        return {}
    from assets.past.dvc_remote import push_restore_points
    from assets.past.restore_points import keep_restore_point

    point = keep_restore_point(workspace)
    kept: dict[str, str] = {} if point is None else {"restore_point": point.name}
    if step.name in PUSHED_AFTER:
        pushed = push_restore_points(workspace)
        kept["dvc_remote"] = str(pushed)
        if pushed.waiting:
            print(f"warning: {pushed}", file=sys.stderr, flush=True)
    return kept


def _hold_up_behind_failed_checks(workspace: Workspace, step: Step, shard: str | None) -> None:
    """Nothing is made of a shard whose check fails. What reads all shards leaves such a shard out by itself."""
    for above in (STEPS[name] for name in step.upstream if name in STEPS):
        if above.sharded != (shard is not None) or not (workspace.data(above.name, shard) / above.marker).is_file():
            continue
        for check in contract_checks(workspace, above, shard):
            if not check.passed:
                raise AssetError(
                    f"{step.name} is held up: check {check.name} of {above.name} {shard or ''} fails: {check.message}; "
                    "repair what its quarantine names, or raise curation.violations_max"
                )


def run_process(process: "Process") -> None:
    """Run to the end on this machine, with this process's output.

    Raises:
        AssetError: it failed, or `$OMNIHUMAN_LAUNCHER` wants trainings elsewhere, which Dagster alone starts.
    """
    elsewhere = os.environ.get(LAUNCHER_FILE)
    if elsewhere and process.job is not None:
        raise AssetError(
            f"{LAUNCHER_FILE}={elsewhere} has trainings started by Dagster; run `omnihuman demo` or a Dagster job, or unset it to train on this machine"
        )
    from training.run.warm import start_process

    child = start_process(process, process.environment, Path.cwd(), output=None)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise
    if code:
        raise AssetError(f"{process.command[-1]} ended with exit code {code}; its last lines above say why")
