from pathlib import Path
from typing import Any, Self

import torch
from diffusers.configuration_utils import ConfigMixin
from torch import Tensor

class FlowMatchEulerDiscreteScheduler(ConfigMixin):
    timesteps: Tensor
    def __init__(
        self, num_train_timesteps: int = 1000, shift: float = 1.0, use_dynamic_shifting: bool = False
    ) -> None: ...
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self: ...
    def save_pretrained(self, save_directory: str | Path) -> None: ...
    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: list[float] | None = None,
    ) -> None: ...
    # As `return_dict` says: an output with named fields, or a tuple.
    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, return_dict: bool = True) -> Any: ...
