from dataclasses import dataclass
from typing import Literal

from torch.distributed.device_mesh import DeviceMesh

@dataclass
class ContextParallelConfig:
    ring_degree: int | None = None
    ulysses_degree: int | None = None
    convert_to_fp32: bool = True
    rotate_method: Literal["allgather", "alltoall"] = "allgather"
    mesh: DeviceMesh | None = None
    ulysses_anything: bool = False

@dataclass(frozen=True)
class ContextParallelInput:
    split_dim: int
    expected_dims: int | None = None
    split_output: bool = False

@dataclass(frozen=True)
class ContextParallelOutput:
    gather_dim: int
    expected_dims: int | None = None
