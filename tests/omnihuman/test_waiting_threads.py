"""How long torch's threads wait is said before torch is imported, in every process that starts another (docs/decisions/0080-threads-wait-briefly.md)."""

import os
import subprocess
import sys

import pytest

import omnihuman
from training.run.launch import launch_environment

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("said", "kept"),
    [({}, ("10000", None)), ({"GOMP_SPINCOUNT": "5"}, ("5", None)), ({"OMP_WAIT_POLICY": "ACTIVE"}, (None, "ACTIVE"))],
)
def test_it_is_said_where_the_user_says_nothing(said, kept):
    environment = dict(said)
    omnihuman.wait_briefly(environment)
    assert tuple(environment.get(name) for name in NAMES) == kept


def test_trainings_have_it_wherever_they_are_launched(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert launch_environment()["GOMP_SPINCOUNT"] == "10000"


@pytest.mark.parametrize("module", ["orchestration.commands.cli", "assets.__main__", "orchestration.definitions"])
def test_where_processes_begin_it_is_said_before_torch_is_imported(module):
    code = f"import {module}, os, sys; sys.exit(f\"{{os.environ.get('GOMP_SPINCOUNT')}} {{'torch' in sys.modules}}\")"
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip().splitlines()[-1] == "10000 False"
