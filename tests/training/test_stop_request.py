"""Two ranks learn of a request to stop after the same step, although one alone looks for it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.forked import ForkedPopen

ROOT = Path(__file__).resolve().parents[2]
RANK = """
import sys
from pathlib import Path
import torch
from training.run.stopping import Stopped, StopRequest, stop_file

folder, rank = Path(sys.argv[1]), int(sys.argv[2])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
stop = StopRequest(folder)
for step in range(1, 100):
    if rank == 1 and step == 7:
        stop_file(folder).touch()
    torch.distributed.barrier()
    if stop.asked():
        break
try:
    stop.leave(step, 100)
except Stopped as stopped:
    torch.distributed.barrier()
    print(stopped)
"""


def test_both_ranks_stop_after_the_same_step_and_the_request_is_taken_away(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", RANK, str(tmp_path)]
    ranks = [
        ForkedPopen([*command, str(rank)], env=environment, stdout=subprocess.PIPE, text=True) for rank in range(2)
    ]
    said = [rank.communicate(timeout=300)[0].strip() for rank in ranks]
    assert (
        said
        == ["stopped on request after step 7 of 100, whose checkpoint is written; the same command goes on from there"]
        * 2
    )
    assert not (tmp_path / "stop").exists()
