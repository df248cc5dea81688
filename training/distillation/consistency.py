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

from omnihuman.precision import cast_weights
from profiles.schema import ConsistencyConfig, GuidanceConfig
from training.data.batch import Batch
from training.data.feature_rows import feature_rows
from training.data.loader import SnapshotData
from training.data.micro_batches import split_batch
from training.data.rank_batch import RankBatch
from training.distillation.distillation_card import write_card
from training.distillation.guidance import teacher_velocity
from training.distillation.single_engine import SingleEngineDistillation
from training.engine.deepspeed_engine import answering, build_engine, compute_dtype, in_passes
from training.engine.loop import Loop
from training.engine.sequence_parallel import share_tokens
from training.engine.throughput import batch_tokens
from training.flow_matching import euler_step, interpolate, shift_timestep
from training.run.jobs import TrainingJob
from training.run.product import write_transformer
from training.run.recorder import Recorder
from training.stages.model import build_transformer, check_takes_videos

Velocity = Callable[[Tensor, Tensor], Tensor]


def time_grid(steps: int, shift: float) -> Tensor:
    """`(steps + 1,)` times from 0 to 1, shifted towards noise by `shift`."""
    return shift_timestep(torch.linspace(0, 1, steps + 1), shift)


def consistency_map(velocity: Velocity, x_t: Tensor, t: Tensor) -> Tensor:
    """f(x_t, t) = x_t - t v(x_t, t); t `(B,)` float32 in [0, 1]."""
    return euler_step(x_t, velocity(x_t, t), t, torch.zeros_like(t))


def consistency_loss(student: Velocity, teacher: Velocity, x_0: Tensor, noise: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """`(B,)` squared distance between the student at t and, without gradient, the student one teacher step nearer to data."""
    x_t = interpolate(x_0, noise, t)
    with torch.no_grad():
        x_s = euler_step(x_t, teacher(x_t, t), t, s)
        target = consistency_map(student, x_s, s)
    return (consistency_map(student, x_t, t) - target).square().flatten(1).mean(dim=1)


def grid_pair(grid: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The neighbouring times t > s of `grid` between which each of `(B,)` uniform draws in [0, 1) falls, on the draws' device."""
    upper = (uniform * (len(grid) - 1)).long().clamp_max(len(grid) - 2).cpu() + 1
    return grid[upper].to(uniform.device), grid[upper - 1].to(uniform.device)


def batch_loss(student: Any, teacher: Any, part: Batch, grid: Tensor, guidance: GuidanceConfig) -> Tensor:
    """`(B,)` consistency losses of a batch's samples, each at the pair of times that it drew."""
    conditions = part.conditions()

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return student(x, t * 1000, return_dict=False, **conditions)[0]

    def guided(x: Tensor, t: Tensor) -> Tensor:
        return teacher_velocity(teacher, x, t, conditions, part.null_text, guidance)

    return consistency_loss(velocity, guided, part.latents, part.noise, *grid_pair(grid, part.uniform))


def train_consistency(job: TrainingJob) -> dict[str, Any]:
    """Distil the parent checkpoint; resume where it stopped; write the product and return its record."""
    return Loop(ConsistencyDistillation(job)).run()


class ConsistencyDistillation(SingleEngineDistillation):
    """A student that begins as its teacher, the parent, and learns to jump where the teacher walks."""

    decay_to = 0.1

    def __init__(self, job: TrainingJob):
        config: ConsistencyConfig = getattr(job.profile, job.section)
        check_takes_videos(job.profile, job.section)
        profile = in_passes(job.profile, config)
        data = SnapshotData(
            Path(job.snapshot),
            feature_rows(job),
            profile,
            "text",
            config.seed + 101,
            config.batch_size,
            config.ratios,
        )
        teacher = build_transformer(profile, job.parent, config.seed).eval().requires_grad_(False)
        self.student = build_transformer(profile, job.parent, config.seed)
        if profile.engine.activation_checkpointing:
            self.student.enable_gradient_checkpointing()
        if profile.engine.sequence_parallel > 1:
            for model in (teacher, self.student):
                share_tokens(model, profile.engine.sequence_parallel)
        engine = build_engine(self.student, config.optimizer, profile.engine, config.batch_size)
        cast_weights(teacher, compute_dtype(engine))
        self.teacher = answering(teacher, profile.engine, engine.device)
        self.consistency, self.grid = config, time_grid(config.grid, config.grid_shift)
        super().__init__(job, config, data, engine, self.student)

    def losses(self, number: int, batch: RankBatch) -> Iterator[Tensor]:
        """One per accumulation step."""
        for part in split_batch(batch, self.engine.gradient_accumulation_steps()):
            part = part.to(self.engine.device, compute_dtype(self.engine))
            yield batch_loss(self.engine, self.teacher, part, self.grid, self.consistency.guidance).mean()

    def tokens(self, batch: RankBatch) -> int:
        """Of the student's forward that is learned from."""
        return batch_tokens(batch)

    def record(self) -> dict[str, Any]:
        """The grid of times."""
        return {"grid": self.consistency.grid}

    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write the averaged student with its card."""
        return write_transformer(self.job, self.student, weights, recorder, record, write_card)
