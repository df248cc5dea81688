"""Faults of the machine while an asset is made: no wrong success, nothing lost, and the same command makes it well again."""

import dataclasses
import errno
import json
import multiprocessing
import os
import resource
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository
from assets.core.steps import Execution, Step
from assets.core.workspace import Workspace
from assets.dagster import asset_factory as dagster_assets
from assets.make import execute as execute_module
from assets.make.execute import execute, is_current
from media import whole_directory, write_atomically
from orchestration.demo.main import DemoError, hold_alone
from profiles import load_profile


def make_megabyte(execution: Execution) -> dict:
    """A product of one MiB, whole or not at all."""
    with whole_directory(execution.workspace.data(execution.name)) as folder:
        (folder / STEPS[execution.name].marker).write_bytes(os.urandom(1 << 20))
    return {}


MEGABYTE = dataclasses.replace(STEPS["benchmark_sets"], make=f"{__name__}:make_megabyte")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MiB: what is full here gives the kernel's own ENOSPC."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int) -> Path:
    """Take all room but `leave` bytes."""
    ballast = place / "ballast"
    status = os.statvfs(place)
    ballast.write_bytes(b"\0" * (status.f_bavail * status.f_frsize - leave))
    return ballast


@pytest.mark.parametrize(
    ("had_one", "leave"),
    [(True, 1 << 19), (False, 3 << 19)],
    ids=["no room for the product", "no room for DVC's copy of it"],
)
def test_a_full_disk_makes_no_success_and_with_room_the_same_command_does(small_disk, had_one, leave, monkeypatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(small_disk.parent / "site"))
    workspace = Workspace(small_disk / "w", load_profile("laptop", []))
    marker = workspace.data("benchmark_sets") / MEGABYTE.marker
    ensure_repository(workspace)
    snapshot = workspace.data("training_snapshot")
    snapshot.mkdir(parents=True)
    (snapshot / "snapshot.json").write_text('{"digest": "d"}')
    if had_one:
        execute(workspace, MEGABYTE)
    before = marker.read_bytes() if had_one else b""
    ballast = fill(small_disk, leave)
    with pytest.raises(Exception) as failed:  # noqa: PT011 - the kernel's error, or DVC's that tells of it
        execute(workspace, MEGABYTE)
    print(f"observed: {type(failed.value).__name__}: {failed.value}")
    ballast.unlink()
    assert not list((workspace.root / "data").glob(".tmp-*"))
    assert is_current(workspace, MEGABYTE) == had_one, "the old product is still the one on record; a new one is not"
    assert not had_one or marker.read_bytes() == before
    execute(workspace, MEGABYTE)
    assert is_current(workspace, MEGABYTE) and marker.read_bytes() != before
    assert "benchmark_sets" in (workspace.root / "dvc.lock").read_text()


LOCK = f"schema: '2.0'\nstages:\n  raw_clips:\n    cmd: c\n    outs:\n    - path: data/raw_clips\n      md5: {'a' * 32}.dir\n"


@pytest.mark.parametrize(
    ("before", "found", "afterwards"),
    [
        (LOCK, LOCK[:-60], LOCK),
        (LOCK, LOCK[:-10], LOCK),
        (LOCK, "", LOCK),
        ("", LOCK[:-60], None),
        (LOCK, LOCK.replace("a" * 32, "b" * 32), LOCK.replace("a" * 32, "b" * 32)),
    ],
    ids=["cut off", "cut off in a hash", "empty", "the first one, cut off", "written whole before the kill"],
)
def test_a_lock_file_that_a_kill_left_half_written_is_the_old_one_again(tmp_path, before, found, afterwards):
    """DVC writes dvc.lock in place."""
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    write_atomically(workspace.var / "dvc.lock.before", before.encode())
    (tmp_path / "dvc.lock").write_text(found)
    ensure_repository(workspace)
    lock = tmp_path / "dvc.lock"
    assert (lock.read_text() if lock.is_file() else None) == afterwards and not (
        workspace.var / "dvc.lock.before"
    ).exists()


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    """RLIMIT_FSIZE: the write fails in the middle."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    process = multiprocessing.get_context("fork").Process(target=_write_limited, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == errno.EFBIG and path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def _write_limited(path: Path) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_atomically(path, b"new" * 1000)
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)


def make_slowly(execution: Execution) -> dict:
    """Leave a line for each time that the work is done."""
    log = execution.workspace.root / "made"
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.5)
    with whole_directory(execution.workspace.data(execution.name)) as folder:
        (folder / "value").write_text("made")
    return {}


SLOW = Step(
    "slow",
    "a step of the tests",
    f"{__name__}:make_slowly",
    (),
    ("stage_1",),
    "tools",
    frozenset({"python"}),
    "value",
    in_dvc=False,
)


def _execute_slow(root: Path, answers) -> None:
    outcome = execute(Workspace(root, load_profile("laptop", [])), SLOW)
    answers.put(dict(outcome.metadata))


def test_two_that_ask_for_the_same_at_once_do_the_work_once(tmp_path, monkeypatch):
    monkeypatch.setattr(execute_module, "STEPS", {"slow": SLOW})
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    both = [fork.Process(target=_execute_slow, args=(tmp_path, answers)) for _ in range(2)]
    for process in both:
        process.start()
    found = [answers.get(timeout=120) for _ in both]
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert len((tmp_path / "made").read_text().splitlines()) == 1
    assert sorted(map(len, found)) == [0, 1], "one made it, the other says that it waited"


def _hold_demo(root: Path, holds) -> None:
    with hold_alone(Workspace(root, load_profile("laptop", []))):
        holds.set()
        time.sleep(60)


def test_of_two_demos_at_once_the_second_says_whose_the_first_is_and_after_a_kill_it_may(tmp_path):
    fork = multiprocessing.get_context("fork")
    holds = fork.Event()
    first = fork.Process(target=_hold_demo, args=(tmp_path, holds))
    first.start()
    assert holds.wait(60)
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    with pytest.raises(
        DemoError,
        match=rf"another demo is running in .* \(process {first.pid} on .* since .*\); wait for it or stop it",
    ):
        hold_alone(workspace)
    first.kill()
    first.join()
    with hold_alone(workspace):
        pass


def test_one_that_is_killed_while_it_holds_the_asset_keeps_nobody_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(execute_module, "STEPS", {"slow": SLOW})
    fork = multiprocessing.get_context("fork")
    killed = fork.Process(target=_execute_slow, args=(tmp_path, fork.Queue()))
    killed.start()
    while not (tmp_path / "made").is_file():
        time.sleep(0.01)
    killed.kill()
    killed.join()
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    assert not is_current(workspace, SLOW)
    assert execute(workspace, SLOW).metadata == {} and is_current(workspace, SLOW)


def make_snapshot(execution: Execution) -> dict:
    """A snapshot of a known digest."""
    with whole_directory(execution.workspace.data("training_snapshot")) as folder:
        (folder / "snapshot.json").write_text(json.dumps({"digest": "ab" * 32}))
    return {}


def test_an_unreachable_remote_is_said_on_the_assets_page_and_the_asset_is_made(tmp_path, monkeypatch):
    """The snapshot's step on a remote where no folder can be made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("OMNIHUMAN_REMOTE", str(tmp_path / "file" / "below"))
    workspace = Workspace(tmp_path / "w", load_profile("laptop", []))
    ensure_repository(workspace)
    for name in STEPS["training_snapshot"].upstream:
        workspace.data(name).mkdir(parents=True)
    from assets.core.dvc_stages import record_in_dvc

    for name in ("raw_clips", "clip_scores", "filtered_subsets", "condition_features"):
        workspace.data(name).mkdir(parents=True, exist_ok=True)
        (workspace.data(name) / "some").write_text(name)
        record_in_dvc(workspace, STEPS[name])

    step = dataclasses.replace(STEPS["training_snapshot"], make=f"{__name__}:make_snapshot")
    page = execute(workspace, step).metadata
    assert (
        page["restore_point"] == "abababababab"
        and "not pushed to" in page["dvc_remote"]
        and is_current(workspace, step)
    )


@pytest.mark.parametrize(
    ("error", "times", "status"),
    [
        (OSError(errno.EIO, "disk away"), 2, "SUCCESS"),
        (ConnectionResetError("server away"), 2, "SUCCESS"),
        (FileNotFoundError("no such file"), 1, "FAILURE"),
        (OSError(errno.ENOSPC, "full"), 1, "FAILURE"),
    ],
    ids=["disk", "server", "no file", "full disk"],
)
def test_a_disk_or_server_that_is_away_for_a_moment_is_asked_again_and_nothing_else_is(
    error, times, status, monkeypatch
):
    monkeypatch.setattr(dagster_assets, "RETRY_SECONDS", 0)
    tried = []

    @dg.op
    def read_something():
        tried.append(1)
        with dagster_assets.again_after_flaky_io():
            if len(tried) == 1:
                raise error

    @dg.job
    def reading():
        read_something()

    with dg.DagsterInstance.ephemeral() as instance:
        done = reading.execute_in_process(instance=instance, raise_on_error=False)
        assert (len(tried), done.dagster_run.status.value) == (times, status)
