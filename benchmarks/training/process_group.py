"""A process group of this process alone, which DeepSpeed asks for."""

import os

import torch


def start_alone() -> None:
    """Once per process: DeepSpeed keeps groups from one engine to the next, so it is never taken down."""
    if torch.distributed.is_initialized():
        return
    from training.run.launch import launch_environment

    os.environ.update(launch_environment())
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    from training.engine.process_group import start_process_group

    backend = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, store=torch.distributed.HashStore(), rank=0, world_size=1)
    start_process_group(verbose=False)
