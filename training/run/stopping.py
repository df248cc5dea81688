"""A training that is asked to end: all ranks agree after the same step, write a checkpoint and leave with an exit code of its own."""

from collections.abc import Callable
from pathlib import Path

import torch

from tracking.runs import Stopped


def stop_file(work: Path) -> Path:
    """The request: whoever makes this file ends the training in `work` after its next step."""
    return work / "stop"


class StopRequest:
    """Looked for once a step. One rank looks and tells the others: no two can see a file differently."""

    def __init__(self, work: Path):
        self.path = stop_file(work)

    def asked(self) -> bool:
        """Whether to end now. All ranks call this after the same step."""
        return of_rank_0(self.path.exists)

    def leave(self, step: int, total: int) -> None:
        """After the checkpoint of `step` was written.

        Raises:
            Stopped: always.
        """
        if torch.distributed.get_rank() == 0:
            self.path.unlink(missing_ok=True)
        raise Stopped(
            f"stopped on request after step {step} of {total}, whose checkpoint is written; the same command goes on from there"
        )


def of_rank_0(look: Callable[[], bool]) -> bool:
    """What rank 0 sees, on every rank: files and clocks differ. All ranks call this at the same place."""
    if torch.distributed.get_world_size() == 1:
        return look()
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    seen = torch.tensor([torch.distributed.get_rank() == 0 and look()], dtype=torch.uint8, device=device)
    torch.distributed.broadcast(seen, 0)
    return bool(seen)
