"""Plain torch with the few methods of a DeepSpeed engine that our losses and updates call: what engines are compared with."""

from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import OptimizerConfig
from training.engine.deepspeed_engine import computing
from training.engine.optimizer import build_optimizer


class PlainEngine:
    """One process, one optimiser, gradients accumulated by autograd; in bf16 under autocast."""

    def __init__(
        self, module: nn.Module, optimizer: OptimizerConfig | None = None, accumulation: int = 1, bf16: bool = False
    ):
        """`accumulation`: passes of an update. Without an optimiser it takes no step."""
        self.module, self.accumulation, self.micro_steps = module, accumulation, 0
        self.optimizer = None if optimizer is None else build_optimizer(module.named_parameters(), optimizer)
        self.device, self.loss_factor, self.bf16 = torch.device("cpu"), 1, bf16

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The module's forward pass."""
        with computing(self):
            return self.module(*inputs, **named)

    def torch_autocast_enabled(self) -> bool:
        """As DeepSpeed's."""
        return self.bf16

    def torch_autocast_dtype(self) -> torch.dtype:
        """As DeepSpeed's."""
        return torch.bfloat16

    def gradient_accumulation_steps(self) -> int:
        """As DeepSpeed's."""
        return self.accumulation

    def train_micro_batch_size_per_gpu(self) -> int:
        """As DeepSpeed's: samples of a look."""
        return 4

    def is_gradient_accumulation_boundary(self) -> bool:
        """As DeepSpeed's."""
        return (self.micro_steps + 1) % self.accumulation == 0

    def zero_optimization_stage(self) -> int:
        """None."""
        return 0

    def backward(self, loss: Tensor) -> None:
        """As DeepSpeed's: the mean over the passes of an update."""
        (loss / self.accumulation).backward()

    def step(self) -> None:
        """Count a pass; at the last of an update take the optimiser's step."""
        if self.is_gradient_accumulation_boundary() and self.optimizer:
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.micro_steps += 1


def awake(model: nn.Module, seed: int = 3) -> nn.Module:
    """Give the zero-initialised parts values, as training does, so that every condition and block acts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "audio_attn.to_out" in name or "pose_patch_embedding" in name or "token_types" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model
