"""Dagster's instance under `var/dagster`: made once, before any process uses it, with the limits that the assets need."""

import os

import dagster as dg

from assets.core.workspace import Workspace
from media import write_atomically

STARTED_BY_DEMO = {"omnihuman/started_by": "demo"}
CONFIGURATION = """\
nux:
  enabled: false
telemetry:
  enabled: false
concurrency:
  pools:
    default_limit: 1
  runs:
    max_concurrent_runs: 2
# A run whose process was killed, or that a reboot ended, is failed within a minute and started once more: training goes on from
# its checkpoint. A step that raised an error is not: the same input would give the same error.
run_launcher:
  module: orchestration.run_workers
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 30
  cancel_timeout_seconds: 300
  free_slots_after_run_end_seconds: 60
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
freshness:
  enabled: true
"""


def prepare_home(workspace: Workspace) -> None:
    """Set `DAGSTER_HOME` and write dagster.yaml if there is none."""
    home = workspace.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["OMNIHUMAN_HOME"] = str(workspace.root)
    if not (home / "dagster.yaml").is_file():
        write_atomically(home / "dagster.yaml", CONFIGURATION.encode())


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The persistent instance. Several processes that create its database at once destroy it: call this first."""
    prepare_home(workspace)
    return dg.DagsterInstance.get()


def end_abandoned_runs(instance: dg.DagsterInstance) -> int:
    """Fail the demo's runs whose process was killed, and free their pool slots; returns how many.

    Only for the holder of the demo's lock: a run of the demo that is still "started" then has no process any more. Its slot
    would block the next run for ever.
    """
    started = dg.RunsFilter(tags=STARTED_BY_DEMO, statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    runs = instance.get_runs(started)
    for run in runs:
        instance.report_run_failed(run, "the process of this run was killed; the demo goes on from its last checkpoint")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(runs)
