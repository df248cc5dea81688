r"""Discrete consistency distillation (APT section 4.2; 32 steps, no EMA target from APT2 section 3.2).

Student map $f(x_t, t) = x_t - t\, v_\theta(x_t, t)$, which is $x_t$ at t = 0. For adjacent grid times s < t the teacher
takes one Euler step $\hat x_s = x_t + (s - t)\, v_{teacher}(x_t, t)$ and the loss is
$\| f(x_t, t) - \mathrm{stopgrad}\, f(\hat x_s, s) \|^2$.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from profiles.schema import ConsistencyConfig
from training.data.loader import Batch, SnapshotData
from training.distillation.distillation_card import write_card
from training.distillation.guidance import teacher_velocity
from training.distillation.steps import distil
from training.engine.deepspeed_engine import build_engine
from training.flow_matching import euler_step, interpolate, shift_timestep
from training.run.jobs import TrainingJob
from training.run.product import write_output
from training.run.recorder import Recorder
from training.stages.model import build_transformer
from training.stages.stage import split_batch

Velocity = Callable[[Tensor, Tensor], Tensor]


def time_grid(steps: int, shift: float) -> Tensor:
    """`(steps + 1,)` times from 0 to 1, shifted towards noise by `shift`."""
    return shift_timestep(torch.linspace(0, 1, steps + 1), shift)


def consistency_map(velocity: Velocity, x_t: Tensor, t: Tensor) -> Tensor:
    """f(x_t, t) = x_t - t v(x_t, t); t `(B,)` in [0, 1]."""
    return euler_step(x_t, velocity(x_t, t), t, torch.zeros_like(t))


def consistency_loss(student: Velocity, teacher: Velocity, x_0: Tensor, noise: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """`(B,)` squared distance between the student at t and, without gradient, the student one teacher step nearer to data."""
    x_t = interpolate(x_0, noise, t)
    with torch.no_grad():
        x_s = euler_step(x_t, teacher(x_t, t), t, s)
        target = consistency_map(student, x_s, s)
    return (consistency_map(student, x_t, t) - target).square().flatten(1).mean(dim=1)


def train_consistency(job: TrainingJob) -> dict:
    """Distil the parent checkpoint; resume where it stopped; write the output and return its record."""
    profile = job.profile
    config, engine_config = getattr(profile, job.section), profile.engine
    data = SnapshotData(
        Path(job.snapshot),
        Path(job.features_root),
        profile,
        "text",
        config.seed + 101,
        config.batch_size,
        config.ratios,
    )
    teacher = build_transformer(profile, job.parent, config.seed).eval().requires_grad_(False)
    model = build_transformer(profile, job.parent, config.seed)
    if engine_config.activation_checkpointing:
        model.enable_gradient_checkpointing()
    engine = build_engine(model, config.optimizer, engine_config, config.batch_size)
    teacher.to(engine.device, next(model.parameters()).dtype)
    grid = time_grid(config.grid, config.grid_shift)
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def losses(step: int) -> Iterator[Tensor]:
        for part in split_batch(data.batch(step, rank, ranks), engine.gradient_accumulation_steps()):
            yield _loss(engine, teacher, part.to(engine.device, next(model.parameters()).dtype), grid, config)

    def write(weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        return write_output(job, model, weights, recorder, record, write_card)

    return distil(job, data.digest, engine, model, 0.1, losses, {"grid": config.grid}, write)


def _loss(engine, teacher, part: Batch, grid: Tensor, config: ConsistencyConfig) -> Tensor:
    index = (part.uniform.float() * (len(grid) - 1)).long().clamp_max(len(grid) - 2) + 1
    t, s = grid[index.cpu()].to(part.latents), grid[index.cpu() - 1].to(part.latents)
    conditions = part.conditions()

    def student(x: Tensor, time: Tensor) -> Tensor:
        return engine(x, time * 1000, return_dict=False, **conditions)[0]

    def guided_teacher(x: Tensor, time: Tensor) -> Tensor:
        return teacher_velocity(teacher, x, time, conditions, part.null_text, config.guidance)

    return consistency_loss(student, guided_teacher, part.latents, part.noise, t, s).mean()
