"""What doctor finds wrong with a machine or a store, and that it says what to do."""

import re
import socket
import sqlite3
from collections import namedtuple
from types import SimpleNamespace

import pytest

from assets.core.dvc_stages import ensure_repository
from assets.core.workspace import Workspace
from orchestration.doctor import machine_findings as machine
from orchestration.doctor.store_findings import store_findings
from profiles import load_profile
from tests.orchestration.rounds import commit, put_snapshot
from tracking.mlflow_store import sqlite_fault, store_health
from training.plan.gpus import read_cluster

LAPTOP = load_profile("laptop", [])


def found(workspace, name):
    return next(finding for finding in store_findings(workspace) if finding.name == name)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_INBOX"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, load_profile("laptop", []))


def test_the_projects_own_requirements_are_met_here():
    assert machine.packages(machine._requirements()).ok


def test_absent_and_wrong_versions_are_named_with_the_remedy():
    finding = machine.packages(["numpy>=2", "numpy>=99", "no-such-package-here", "numpy>=99; python_version < '3'"])
    assert not finding.ok and "no-such-package-here is not installed" in finding.message
    assert finding.message.count(">=99") == 1 and "pip install" in finding.message


@pytest.mark.parametrize(
    ("names", "ok"),
    [(["numpy", "opencv_contrib_python"], True), (["opencv-python", "opencv-contrib-python"], False), ([], False)],
)
def test_exactly_one_opencv(names, ok):
    assert machine.opencv(names).ok is ok


def test_a_full_disk_is_found(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda root: Usage(100, 99, 2**30))
    finding = machine.disk(tmp_path, LAPTOP)
    assert not finding.ok and "1.0 GiB free" in finding.message and "dvc gc" in finding.message


def test_a_disk_that_cannot_hold_a_trainings_checkpoints_is_found(tmp_path, monkeypatch):
    """Of Wan2.1-1.3B a running adversarial training keeps some 250 GiB: five times weights, master weights, moments and an average of two networks."""
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda root: Usage(10**12, 0, 100 * 2**30))
    assert machine.disk(tmp_path, LAPTOP).ok
    finding = machine.disk(tmp_path, load_profile("wan2.1-1.3b"))
    assert not finding.ok
    needed, checkpoints = (
        float(n) for n in re.search(r"; ([\d.]+) are needed, ([\d.]+) of them", finding.message).groups()
    )
    assert 200 < checkpoints < 350 and needed == pytest.approx(checkpoints + 5, abs=0.1)


def test_a_disk_without_room_for_more_files_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(
        machine.os,
        "statvfs",
        lambda root: SimpleNamespace(
            f_files=1000, f_favail=7, f_bavail=1 << 30, f_blocks=1 << 30, f_bfree=1 << 30, f_frsize=4096
        ),
    )
    assert not machine.disk(tmp_path, LAPTOP).ok and "7 more files" in machine.disk(tmp_path, LAPTOP).message


def test_a_folder_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert machine.permissions([tmp_path, tmp_path / "absent"]).ok
    finding = machine.permissions([tmp_path / "file"])  # no folder at all: not even root can make a file in it
    assert not finding.ok and str(tmp_path / "file") in finding.message


def test_a_taken_port_is_said_to_be_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "is in use" in machine.free_port("Dagster", port).message
    assert "is free" in machine.free_port("Dagster", port).message


@pytest.mark.parametrize(("devices", "ranks", "ok"), [(0, 2, True), (2, 2, True), (2, 4, False)])
def test_ranks_need_their_devices(monkeypatch, devices, ranks, ok):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"device {index}")
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.accelerator(ranks).ok is ok


def test_a_plan_that_this_machines_gpus_do_not_hold_is_a_warning_and_no_fault(monkeypatch):
    assert list(machine.room_for_trainings(LAPTOP)) == [], "a machine without GPUs"
    monkeypatch.setattr("training.plan.gpus.here", lambda ranks: read_cluster(f"{ranks}xH100"))
    monkeypatch.setattr(
        "training.plan.warning.warning",
        lambda profile, section, cluster: f"{section} is too large for {cluster}" if section == "stage_3" else "",
    )
    stage, adversaries = machine.room_for_trainings(LAPTOP)
    assert (stage.name, stage.ok, stage.message) == (
        "room for stage_3",
        True,
        "warning: stage_3 is too large for 1xH100",
    )
    assert adversaries.ok and adversaries.message == "1xH100 hold it by plan"


def test_a_driver_without_a_torch_that_uses_it_is_found(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = machine.accelerator(1)
    assert not finding.ok and "install the build" in finding.message


def test_a_launcher_that_cannot_start_is_found(workspace, tmp_path, monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_LAUNCHER", raising=False)
    assert machine.launcher(workspace).ok
    hosts = Workspace(tmp_path, load_profile("laptop", [f"engine.hostfile={tmp_path}/hosts"]))
    assert not machine.launcher(hosts).ok and f"{tmp_path}/hosts" in machine.launcher(hosts).message
    file = tmp_path / "launcher.yaml"
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(file))
    assert "launcher.yaml, which is not there" in machine.launcher(workspace).message
    file.write_text("{launcher: ray, address: 'http://head:8265', mount: /nowhere}")
    assert not machine.launcher(workspace).ok and "OMNIHUMAN_HOME" in machine.launcher(workspace).message
    file.write_text(f"{{launcher: ray, address: 'http://head:8265', mount: {tmp_path}}}")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    assert not machine.launcher(workspace).ok and "omnihuman-pipeline[ray]" in machine.launcher(workspace).message
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: object())
    assert machine.launcher(workspace).ok


def test_a_fresh_workspace_has_no_faults_and_nothing_is_made(workspace):
    findings = list(store_findings(workspace))
    assert all(finding.ok for finding in findings), findings
    assert list(workspace.root.iterdir()) == []


def test_a_damaged_database_is_found_and_a_whole_one_is_not(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (x)")
        connection.executemany("insert into t values (?)", [("y" * 100,)] * 1000)
    assert sqlite_fault(path) == "" and store_health(f"sqlite:///{path}") == (True, str(path))
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(data)
    sound, message = store_health(f"sqlite:///{path}")
    assert not sound and "restore it" in message
    path.write_bytes(b"not a database at all" * 100)
    assert "not a database" in sqlite_fault(path)


def test_a_server_that_does_not_answer_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sound, message = store_health(f"http://127.0.0.1:{port}")
    assert not sound and "start the server" in message


def test_what_neither_data_nor_cache_has_is_named(workspace):
    import shutil

    ensure_repository(workspace)
    put_snapshot(workspace, "ab" * 32, ["a" * 16])
    commit(workspace, "training_snapshot")
    assert found(workspace, "DVC").ok
    shutil.rmtree(workspace.data("training_snapshot"))
    assert found(workspace, "DVC").ok, "`dvc checkout` brings it back"
    for listing in (workspace.root / ".dvc" / "cache" / "files" / "md5").glob("*/*.dir"):
        listing.unlink()
    finding = found(workspace, "DVC")
    assert not finding.ok and "training_snapshot" in finding.message and "dvc pull" in finding.message
    (workspace.root / "dvc.lock").write_text("stages: [")
    assert not found(workspace, "DVC").ok


def test_a_damaged_list_of_withdrawals_is_found(workspace):
    workspace.tombstones.write_text("{\n")
    assert "line 1" in found(workspace, "withdrawals").message and not found(workspace, "withdrawals").ok


def test_a_remote_inbox_that_cannot_be_listed_is_found(workspace, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_INBOX", f"file://{workspace.root}/nowhere")
    assert not found(workspace, "remote inbox").ok
    monkeypatch.setenv("OMNIHUMAN_INBOX", f"file://{workspace.root}")
    assert found(workspace, "remote inbox").ok
