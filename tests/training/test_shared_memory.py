"""What DeepSpeed leaves in shared memory is given back, each rank its own."""

import os

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
