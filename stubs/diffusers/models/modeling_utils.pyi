from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from diffusers.models._modeling_parallel import ContextParallelConfig
from torch import nn

class ModelMixin(nn.Module):
    gradient_checkpointing: bool
    _gradient_checkpointing_func: Callable[..., Any]
    _parallel_config: Any
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path | None, *, output_loading_info: Literal[True], **kwargs: Any
    ) -> tuple[Self, dict[str, Any]]: ...
    @overload
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | None, **kwargs: Any) -> Self: ...
    def save_pretrained(self, save_directory: str | Path) -> None: ...
    def enable_gradient_checkpointing(self) -> None: ...
    def enable_parallelism(self, *, config: ContextParallelConfig, cp_plan: dict[str, Any] | None = None) -> None: ...
    def compile_repeated_blocks(self, *args: Any, **kwargs: Any) -> None: ...
