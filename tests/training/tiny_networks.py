"""The tiny profile's networks with every part awake, and batches for them."""

import torch
from torch import nn

from benchmarks.training.plain_engine import awake
from profiles import load_profile
from tests.training.synthetic import TINY
from training.data.batch import Batch, SampleDraw
from training.data.conditions import Conditions
from training.distillation.discriminator import Discriminator
from training.stages.model import build_transformer


def tiny_profile(*overrides: str):
    """Three layers, 48 wide; every condition in use."""
    return load_profile("laptop", [*TINY, *overrides])


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
