"""What DeepSpeed leaves behind hinders nobody: a build that was killed, and each rank's own name in shared memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.cpp_extension import _get_build_directory, get_cxx_compiler

from tests import forked
from training.engine import process_group
from training.run.launch import _free_port, launch_environment

NAME = "deepspeed_shm_comm"
LOAD = "from training.engine.process_group import load_operator; load_operator()"


# For DeepSpeed's sources: one that never ends, and one that has compiled them before; linking and questions are the compiler's own.
ENDLESS = """#!/bin/sh
case " $* " in *" -c "*) exec sleep 600;; esac
exec {compiler} "$@"
"""
KNOWING = """#!/bin/sh
case " $* " in *" -c "*)
    for part in "$@"; do case "$part" in *.o) object=$part;; esac; done
    exec cp "{built}/$object" "$object";;
esac
exec {compiler} "$@"
"""


def start_loading(folder: Path, compiler: Path) -> subprocess.Popen:
    environment = launch_environment() | {"TORCH_EXTENSIONS_DIR": str(folder), "CXX": str(compiler)}
    return forked.ForkedPopen(
        [sys.executable, "-c", LOAD], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def write_compiler(path: Path, text: str) -> Path:
    path.write_text(text.format(compiler=get_cxx_compiler(), built=_get_build_directory(NAME, verbose=False)))
    path.chmod(0o755)
    return path


@pytest.mark.end_to_end
def test_a_process_killed_while_it_compiles_keeps_no_later_training_waiting(tmp_path):
    # Compiled for real where trainings of two ranks need it too: twenty seconds of a core, once.
    loaded = forked.run([sys.executable, "-c", LOAD], env=launch_environment(), capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    folder = tmp_path / "extensions"
    lock = folder / NAME / "lock"
    first = start_loading(folder, write_compiler(tmp_path / "endless", ENDLESS))
    while not lock.exists():
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.01)
    second = start_loading(folder, write_compiler(tmp_path / "knowing", KNOWING))  # waits while the first one lives
    time.sleep(1)
    assert second.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert lock.exists()
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert f"removed {lock}" in output
    assert not lock.exists()
    assert (lock.parent / f"{NAME}.so").is_file()


def test_a_rank_that_is_alone_asks_for_no_compiler(tmp_path):
    """The laptop's trainings compiled for 25 s of a core before their first step, and could not start without g++."""
    alone = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    code = (
        "import torch; from training.engine.process_group import mean_over_ranks, start_process_group as start; start(False);"
        "print(mean_over_ranks({'loss': 2.5}, torch.device('cpu')))"
    )
    environment = launch_environment() | alone | {"TORCH_EXTENSIONS_DIR": str(tmp_path), "CXX": "/no/compiler"}
    ran = forked.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0 and "{'loss': 2.5}" in ran.stdout, ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_a_live_process_holds_is_seen(tmp_path):
    lock = tmp_path / "lock"
    with lock.open("w"):
        assert process_group._open_anywhere(lock)
    assert not process_group._open_anywhere(lock)


def test_only_this_ranks_own_buffer_name_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(process_group, "SHARED_MEMORY", tmp_path)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "4711")
    names = [
        f"deepspeed_allreduce_buffer_{os.getuid()}_127.0.0.1_{port}_{rank}" for port in (4711, 4712) for rank in (0, 1)
    ]
    for name in names:
        (tmp_path / name).touch()
    process_group.release_buffer_names(1)
    process_group.release_buffer_names(1)
    assert sorted(os.listdir(tmp_path)) == sorted(set(names) - {names[1]})
