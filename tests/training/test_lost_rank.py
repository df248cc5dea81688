"""kill -9 of one rank: the run ends as failed, leaves nothing behind, and the same command goes on from its checkpoint."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from tests.training.synthetic import finish, losses, make_job, start, write_snapshot
from training import shared_memory


def test_only_this_ranks_own_buffer_name_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "4711")
    names = [f"deepspeed_allreduce_buffer_{os.getuid()}_127.0.0.1_{port}_{rank}" for port in (4711, 4712) for rank in (0, 1)]
    for name in names:
        (tmp_path / name).touch()
    shared_memory.release_buffer_names(1)
    shared_memory.release_buffer_names(1)
    assert sorted(os.listdir(tmp_path)) == sorted(set(names) - {names[1]})


def buffers(process) -> list[Path]:
    """Names that a launcher's ranks may have left in shared memory."""
    port = next(part for part in process.args if part.startswith("--master_port=")).partition("=")[2]
    return list(shared_memory.FOLDER.glob(f"deepspeed_allreduce_buffer_{os.getuid()}_*_{port}_*"))


@pytest.mark.end_to_end
def test_a_killed_rank_ends_the_run_and_the_same_command_goes_on(tmp_path):
    write_snapshot(tmp_path)
    job = make_job(tmp_path, "lost", "stage", "stage_1", 60)
    process, deadline = start(job, ranks=2), time.monotonic() + 600
    latest = Path(job.work) / "checkpoints" / "latest.json"
    while not (latest.is_file() and json.loads(latest.read_text())["step"] >= 4):
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.05)
    assert buffers(process) == [], "the names are gone while the ranks still work"
    ranks = [child for child in psutil.Process(process.pid).children(recursive=True) if "--local_rank=1" in child.cmdline()]
    ranks[0].kill()
    process.communicate(timeout=600)
    assert process.returncode != 0 and not Path(job.output).exists() and buffers(process) == []
    finish(job, ranks=2)
    assert losses(job)["step"].tolist() == list(range(60))
