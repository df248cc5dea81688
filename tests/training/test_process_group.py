"""A process group asks for nothing that no training uses: no compiler, and no memory that outlives it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from training.run.launch import _free_port, launch_environment

REDUCE = (
    "import torch; from deepspeed import comm; from training.engine.process_group import mean_over_ranks, start_process_group as start;"
    "start(False); rank = torch.distributed.get_rank(); given = torch.full((3,), 1.0 + rank); comm.all_reduce(given);"
    "print(mean_over_ranks({'loss': 2.5 + rank}, torch.device('cpu')), given.tolist(), comm.comm.cdb.shm_comm_op)"
)


@pytest.mark.parametrize(
    ("ranks", "said"), [(1, "{'loss': 2.5} [1.0, 1.0, 1.0] None"), (2, "{'loss': 3.0} [3.0, 3.0, 3.0] None")]
)
def test_ranks_reduce_without_a_compiler_and_leave_nothing_in_shared_memory(ranks, said, tmp_path):
    """Trainings of two ranks compiled for a minute of a core before their first step, could not start without g++, and left 66 MiB a rank in memory."""
    port = str(_free_port())
    group = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = launch_environment() | group | {"TORCH_EXTENSIONS_DIR": str(tmp_path), "CXX": "/no/compiler"}
    running = [
        forked.ForkedPopen(
            [sys.executable, "-c", REDUCE],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and said in output, output
    assert list(tmp_path.iterdir()) == []
    assert [path for path in Path("/dev/shm").glob(f"deepspeed_*_{os.getuid()}_*_{port}_*")] == []
