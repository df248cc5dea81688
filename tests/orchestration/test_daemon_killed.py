"""kill -9 of Dagster's daemon while a run is under way: the run goes on to its end, and the next daemon starts what waits."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.core.workspace import Workspace
from orchestration.dagster_location.instance import open_instance
from profiles import load_profile
from tests.forked import ForkedPopen

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).resolve().parents[2]
LOCATION = """
import os, pathlib, time
import dagster as dg

@dg.op
def wait(context):
    folder = pathlib.Path(os.environ["DAGSTER_HOME"])
    with (folder / "began").open("a") as file:
        file.write(f"{context.run_id}\\n")
    while not (folder / "go").exists():
        time.sleep(0.1)

@dg.job
def waiting():
    wait()

defs = dg.Definitions(jobs=[waiting])
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "OMNIHUMAN_HOME"):
        monkeypatch.setenv(name, "set back afterwards")
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    open_instance(workspace).dispose()
    (workspace.dagster_home / "location.py").write_text(LOCATION)
    return workspace.dagster_home


def dagster(home, *arguments, **options):
    environment = os.environ | {"DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", *arguments, "-f", "location.py"]
    return ForkedPopen(command, cwd=home, env=environment, **options)


def start_daemon(home):
    return dagster(home, "dagster._daemon", "run", stdout=(home / "log").open("a"), stderr=subprocess.STDOUT)


def submit(home):
    process = dagster(
        home, "dagster", "job", "launch", "-j", "waiting", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]


def wait_for(home, condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, (home / "log").read_text()[-3000:]
        time.sleep(0.2)


def began(home):
    return (home / "began").read_text().split() if (home / "began").is_file() else []


def test_the_run_goes_on_and_the_next_daemon_starts_what_waits(home):
    daemon = start_daemon(home)
    try:
        submit(home)
        wait_for(home, lambda: len(began(home)) == 1)
        daemon.kill()
        daemon.wait()
        submit(home)
        (home / "go").touch()
        with dg.DagsterInstance.from_config(str(home)) as instance:
            first = began(home)[0]
            wait_for(home, lambda: instance.get_run_by_id(first).status == dg.DagsterRunStatus.SUCCESS)
            daemon = start_daemon(home)
            wait_for(home, lambda: all(run.status == dg.DagsterRunStatus.SUCCESS for run in instance.get_runs()))
            assert len(instance.get_runs()) == 2
        assert len(began(home)) == 2 and len(set(began(home))) == 2, "each began once"
    finally:
        daemon.terminate()
        daemon.wait(timeout=300)
