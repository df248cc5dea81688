"""Ulysses sequence parallelism in training: ranks in groups share one sample's tokens (diffusers' context parallelism).

The ranks of a group each hold a part of the same sample's gradient: `build_engine` sees to it that they are added up.
"""

from typing import Any

import torch

from training.engine.deepspeed_engine import device_of_rank
from training.errors import TrainingError


def share_tokens(model: Any, degree: int) -> None:
    """Let groups of `degree` neighbouring ranks work on one sample.

    Raises:
        TrainingError: a base whose sequence is not split, or there is no accelerator (diffusers asks for one).
    """
    if not model.splits_sequence:
        raise TrainingError(
            f"{type(model).__name__} does not split a sequence over ranks: set engine.sequence_parallel (and adversarial_videos.sequence_parallel) to 1"
        )
    from diffusers import ContextParallelConfig
    from torch.distributed.device_mesh import init_device_mesh

    if torch.accelerator.device_count() == 0:
        raise TrainingError(
            f"engine.sequence_parallel = {degree} needs an accelerator; set it to 1 on a machine without"
        )
    shape = (torch.distributed.get_world_size() // degree, 1, degree)
    mesh = init_device_mesh(device_of_rank().type, shape, mesh_dim_names=("data", "ring", "ulysses"))
    model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=degree, mesh=mesh["ring", "ulysses"]))
