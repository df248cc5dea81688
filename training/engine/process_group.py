"""The process group of a training, and numbers that all ranks share."""

import torch


def start_process_group(verbose: bool = True) -> None:
    """`deepspeed.init_distributed` without what no training asks for.

    On processors DeepSpeed would compile an all-reduce in shared memory first, a minute of a core, and keep 66 MiB in /dev/shm for each rank after its
    end. Only its tensor-parallel inference calls that (`TorchBackend.inference_all_reduce`); gradients are reduced by gloo either way. What DeepSpeed takes for
    buildable is empty here, so that it builds nothing, and does not ask the compiler what it could.

    Every rank calls it, with the variables of a launcher (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) in its environment.
    """
    import deepspeed

    gpus = torch.cuda.is_available()  # NCCL reduces there, and DeepSpeed's all-reduce in shared memory does not exist
    if not gpus:
        deepspeed.ops.__compatible_ops__ = {}
    deepspeed.init_distributed(dist_backend="nccl" if gpus else "gloo", verbose=verbose)


def mean_over_ranks(row: dict[str, float], device: torch.device) -> dict[str, float]:
    """Each number's mean over ranks: all read the same numbers and decide alike. Every rank calls this with the same keys."""
    values = torch.tensor(list(row.values()), dtype=torch.float64, device=device)
    torch.distributed.all_reduce(values)
    return dict(zip(row, (values / torch.distributed.get_world_size()).tolist(), strict=True))
