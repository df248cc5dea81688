"""The process group of a training, and what DeepSpeed leaves behind around it: a build's lock file, and shared memory."""

import os
import sys
from pathlib import Path

import torch

from media.file_lock import file_lock
from media.user_error import UserError

SHARED_MEMORY = Path("/dev/shm")
OPERATOR = "ShareMemCommBuilder"
EXTENSIONS = "TORCH_EXTENSIONS_DIR"  # where torch builds; by default a cache in the user's own folder


class BuildFolderError(UserError):
    """The folder that torch builds in cannot be made; the message names another way."""


def start_process_group(verbose: bool = True) -> None:
    """`deepspeed.init_distributed` that neither waits for a dead process nor leaves 66 MiB per rank in RAM for good.

    Every rank calls it, with the variables of a launcher (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) in its environment.

    Raises:
        RuntimeError: DeepSpeed's shared-memory operator does not compile (a C++ compiler is missing).
    """
    import deepspeed

    load_operator()
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=verbose)
    torch.distributed.barrier()  # every rank has mapped every buffer
    release_buffer_names(torch.distributed.get_rank())


def load_operator() -> None:
    """Compile (the first time) and load DeepSpeed's all-reduce in shared memory, one process at a time. A rank that is alone has
    nothing to share: no compiler is asked for.

    torch guards the build with a file that only its maker removes: a process killed while it compiles would leave every
    later training waiting for it, without a word and without end. Here a lock that the kernel releases comes first, so
    that a build's file that nobody holds open was left by the dead, and is removed.
    """
    import deepspeed
    from deepspeed.accelerator import get_accelerator
    from torch.utils.cpp_extension import _get_build_directory

    builder = get_accelerator().create_op_builder(OPERATOR)
    if builder is None or not deepspeed.ops.__compatible_ops__.get(builder.NAME, False):
        return  # a GPU reduces through NCCL
    if os.environ.get("WORLD_SIZE") == "1":
        deepspeed.ops.__compatible_ops__[builder.NAME] = False  # where DeepSpeed looks before it builds
        return
    try:
        folder = Path(_get_build_directory(builder.NAME, verbose=False))
    except OSError as error:
        raise BuildFolderError(
            f"DeepSpeed's operator cannot be built: {error.filename}: {error.strerror}; name a folder that can be written by {EXTENSIONS}"
        ) from error
    with file_lock(folder / "one-at-a-time"):
        left = folder / "lock"
        if left.exists() and not _open_anywhere(left):
            print(f"removed {left}: the process that compiled there is gone", file=sys.stderr, flush=True)
            left.unlink(missing_ok=True)
        builder.load()


def _open_anywhere(path: Path) -> bool:
    """Whether a process of this user on this machine holds `path` open, as torch does while it builds."""
    own = path.stat()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            status = link.stat()
        except OSError:  # ended meanwhile, or another user's
            continue
        if (status.st_dev, status.st_ino) == (own.st_dev, own.st_ino):
            return True
    return False


def release_buffer_names(rank: int) -> None:
    """Remove the name of this rank's all-reduce buffer; the memory itself lives until the last rank that maps it ends.

    To be called after a barrier that follows `deepspeed.init_distributed`. What is named here is what shm.cpp of DeepSpeed
    0.19 creates and never removes; where it did not (a GPU, an absent operator) nothing happens.
    """
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    (SHARED_MEMORY / f"deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_{rank}").unlink(missing_ok=True)


def mean_over_ranks(row: dict[str, float], device: torch.device) -> dict[str, float]:
    """Each number's mean over ranks: all read the same numbers and decide alike. Every rank calls this with the same keys."""
    values = torch.tensor(list(row.values()), dtype=torch.float64, device=device)
    torch.distributed.all_reduce(values)
    return dict(zip(row, (values / torch.distributed.get_world_size()).tolist(), strict=True))
