"""One training on the machines of a hostfile: DeepSpeed's own runner, with ssh and pdsh that stay on this machine.

Both stand-ins start what they are asked to with an empty environment, as ssh does: what the ranks need must have been handed on. The session's server
forks runner, launchers and ranks; a launch with imports of its own is in tests/training/test_resume.py.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from assets.core.workspace import Workspace
from profiles import load_profile
from tests.assets.launching import materialize
from tests.forked import launched
from tests.training.synthetic import make_job, write_snapshot
from training.run.launch import training_process

pytestmark = pytest.mark.end_to_end

SSH = """#!/bin/sh
echo 127.0.0.1
"""
# pdsh -S -f N -w HOSTS COMMAND...: the command on each host, %n being its number; the worst exit code.
PDSH = """#!{python}
import os, subprocess, sys
arguments = sys.argv[1:]
hosts = arguments[arguments.index("-w") + 1].split(",")
line = " ".join(arguments[arguments.index("-w") + 2 :])
empty = {{"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}}
nodes = [subprocess.Popen(["sh", "-c", line.replace("%n", str(number))], env=empty) for number in range(len(hosts))]
sys.exit(max(node.wait() for node in nodes))
"""


def test_two_machines_train_one_job_and_report(tmp_path, monkeypatch, capfd):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"ssh": SSH, "pdsh": PDSH.format(python=sys.executable)}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("OMNIHUMAN_LAUNCHER", raising=False)
    hostfile = tmp_path / "hosts"
    hostfile.write_text("machine-a slots=1\nmachine-b slots=1\n")
    write_snapshot(tmp_path)
    workspace = Workspace(tmp_path, load_profile("laptop", [f"engine.hostfile={hostfile}"]))
    job = make_job(tmp_path, "stage", "stage", "stage_1", 4, [f"engine.hostfile={hostfile}"])
    path = job.write(Path(job.work) / "job.json")

    process = training_process(path, workspace.profile.engine)
    process = replace(process, command=launched(process.command, tmp_path / "python"))
    (result,) = materialize(workspace, process)
    record = json.loads((Path(job.output) / "record.json").read_text())
    assert result.data_version.value == record["weights_digest"]
    assert capfd.readouterr().out.count("dist_world_size=2") == 2, (
        "each machine's launcher says how many ranks there are"
    )
    assert not list(Path(job.work).glob("pipes-*")) and not list(Path(job.work).glob("*.alive"))
    handed_on = Path(job.work) / "environment"
    assert handed_on.stat().st_mode & 0o077 == 0, "credentials may be in it"
    names = {line.partition("=")[0] for line in handed_on.read_text().splitlines()}
    assert names >= {"DS_ACCELERATOR", "OMP_NUM_THREADS", "TORCH_COMPILE_DISABLE"}, "what a fresh rank's imports read"
