"""DeepSpeed engines: built from the profile, stepped with a learning rate that depends on the step alone."""

from typing import Any

import torch
from torch import nn

from profiles.schema import EngineConfig, OptimizerConfig
from training.optimizer import build_optimizer


class NonFiniteLoss(Exception):
    """Too many non-finite losses in a row; the message names the clips of the last batch."""


def build_engine(model: nn.Module, optimizer: OptimizerConfig, engine: EngineConfig, batch_size: int) -> Any:
    """Wrap `model` in a DeepSpeed engine.

    Args:
        model: its trainable parameters get the optimiser.
        optimizer: which optimiser and rates.
        engine: ZeRO stage, precision, accumulation, clipping.
        batch_size: samples per optimiser step over all ranks.

    Raises:
        ValueError: the batch does not divide by ranks and accumulation.
    """
    import deepspeed

    ranks = torch.distributed.get_world_size()
    micro, rest = divmod(batch_size, ranks * engine.gradient_accumulation)
    if rest or not micro:
        raise ValueError(f"batch_size {batch_size} does not divide by {ranks} ranks x {engine.gradient_accumulation} accumulation steps")
    config = {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": engine.gradient_accumulation,
        "gradient_clipping": engine.gradient_clipping,
        "zero_optimization": {"stage": engine.zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": engine.precision == "bf16"},
        "steps_per_print": 10**9,
    }
    built = build_optimizer(model.named_parameters(), optimizer)
    wrapped, *_ = deepspeed.initialize(model=model, optimizer=built, config=config)
    wrapped.base_rates = [group["lr"] for group in wrapped.optimizer.param_groups]
    return wrapped


def set_rate(engine: Any, factor: float) -> None:
    """Scale every group's base learning rate by `factor`."""
    for group, rate in zip(engine.optimizer.param_groups, engine.base_rates, strict=True):
        group["lr"] = rate * factor


def rate_factor(step: int, steps: int, warmup: int, decay_to: float) -> float:
    """Linear warm-up over `warmup` steps; flat for the first half; then linear to `decay_to` at the last step."""
    rise = min(1.0, (step + 1) / warmup)
    fall = 1.0 - (1.0 - decay_to) * max(0.0, (step + 1) / steps - 0.5) * 2
    return rise * fall


def take_step(engine: Any) -> float:
    """`engine.step()`; returns the global gradient norm before clipping, or 0 between accumulation boundaries.

    ZeRO optimisers know their norm; without ZeRO DeepSpeed does not keep it, and the gradients are still whole here.
    """
    boundary = engine.is_gradient_accumulation_boundary()
    norm = 0.0
    if boundary and engine.zero_optimization_stage() == 0:
        gradients = [p.grad for p in engine.module.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
    engine.step()
    if boundary and engine.zero_optimization_stage() > 0:
        norm = float(engine.get_global_grad_norm())
    return norm


def all_ranks_agree(flag: bool) -> bool:
    """True only if the flag holds on every rank."""
    value = torch.tensor([float(flag)])
    torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MIN)
    return bool(value.item())

