"""Plain torch with the few methods of a DeepSpeed engine that our updates call: the reference of the parity tests."""

import torch
from torch import nn

from profiles import load_profile
from profiles.schema import OptimizerConfig
from tests.training.synthetic import TINY
from training.data.batch import Batch, SampleDraw
from training.data.conditions import Conditions
from training.distillation.discriminator import Discriminator
from training.engine.deepspeed_engine import computing
from training.engine.optimizer import build_optimizer
from training.stages.model import build_transformer


class PlainEngine:
    """One process, one optimiser, gradients accumulated by autograd; in bf16 under autocast."""

    def __init__(
        self, module: nn.Module, optimizer: OptimizerConfig | None = None, accumulation: int = 1, bf16: bool = False
    ):
        self.module, self.accumulation, self.micro_steps = module, accumulation, 0
        self.optimizer = optimizer and build_optimizer(module.named_parameters(), optimizer)
        self.device, self.loss_factor, self.bf16 = torch.device("cpu"), 1, bf16

    def __call__(self, *inputs, **named):
        with computing(self):
            return self.module(*inputs, **named)

    def torch_autocast_enabled(self):
        return self.bf16

    def torch_autocast_dtype(self):
        return torch.bfloat16

    def gradient_accumulation_steps(self):
        return self.accumulation

    def train_micro_batch_size_per_gpu(self):
        return 4

    def is_gradient_accumulation_boundary(self):
        return (self.micro_steps + 1) % self.accumulation == 0

    def zero_optimization_stage(self):
        return 0

    def backward(self, loss):
        (loss / self.accumulation).backward()

    def step(self):
        if self.is_gradient_accumulation_boundary() and self.optimizer:
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.micro_steps += 1


def tiny_profile(*overrides: str):
    """Three layers, 48 wide; every condition in use."""
    return load_profile("laptop", [*TINY, *overrides])


def awake(model: nn.Module, seed: int = 3) -> nn.Module:
    """Give the zero-initialised parts values, as training does, so that every condition and block acts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "audio_attn.to_out" in name or "pose_patch_embedding" in name or "token_types" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def tiny_generator(profile) -> nn.Module:
    return awake(build_transformer(profile, None, 0))


def tiny_discriminator(profile, heads: str = "apt") -> Discriminator:
    backbone = awake(build_transformer(profile, None, 1))
    torch.manual_seed(2)
    return Discriminator(backbone, heads)


def random_batch(size: int, seed: int = 0) -> Batch:
    """Samples of the tiny profile's shapes, with conditions switched on and off among them."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    on, every = torch.arange(size), Conditions(True, True, True, True)
    samples = tuple(
        SampleDraw(f"c{i}", "s-0", "32x32x9@16", i, False, every, every, False, False, True, 0.5, 1000 * seed + i)
        for i in range(size)
    )
    return Batch(
        latents=randn(size, 16, 3, 4, 4),
        noise=randn(size, 16, 3, 4, 4),
        uniform=torch.rand(size, generator=generator),
        text=randn(size, 5, 12),
        null_text=randn(1, 5, 12).expand(size, -1, -1),
        audio=randn(size, 9, 2, 8),
        keypoints=torch.cat([32 * torch.rand((size, 9, 4, 2), generator=generator), torch.ones(size, 9, 4, 1)], dim=-1),
        reference=randn(size, 16, 1, 4, 4),
        motion=randn(size, 16, 2, 4, 4),
        audio_mask=(on % 4 != 3).float(),
        pose_mask=(on % 2 == 0).float(),
        reference_mask=(on % 4 != 1).float(),
        motion_mask=torch.zeros(size),
        samples=samples,
        given=frozenset({"audio", "pose", "reference"}),
    )
