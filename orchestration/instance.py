"""Dagster's instance under `var/dagster`: made once, before any process uses it, with the limits that the assets need."""

import os

import dagster as dg

from assets.workspace import Workspace
from media import write_atomically

CONFIGURATION = """\
telemetry:
  enabled: false
concurrency:
  pools:
    default_limit: 1
  runs:
    max_concurrent_runs: 2
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
