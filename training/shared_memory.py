"""DeepSpeed's shared memory on a CPU is given back: its own code never does, and each rank's 66 MiB would stay in RAM for good."""

import os
from pathlib import Path

FOLDER = Path("/dev/shm")


def release_buffer_names(rank: int) -> None:
    """Remove the name of this rank's all-reduce buffer; the memory itself lives until the last rank that maps it ends.

    To be called after a barrier that follows `deepspeed.init_distributed`: by then every rank has mapped every buffer. What is
    named here is what shm.cpp of DeepSpeed 0.19 creates; where it did not (a GPU, an absent operator) nothing happens.
    """
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    (FOLDER / f"deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_{rank}").unlink(missing_ok=True)
