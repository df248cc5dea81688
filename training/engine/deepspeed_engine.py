"""DeepSpeed engines: built from the profile, stepped with a learning rate that depends on the step alone."""

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import EngineConfig, OptimizerConfig, Profile
from training.engine.optimizer import build_optimizer
from training.errors import TrainingError


def build_engine(model: nn.Module, optimizer: OptimizerConfig, engine: EngineConfig, batch_size: int) -> Any:
    """Wrap `model` in a DeepSpeed engine.

    In bf16 weights are float32 all the same, and torch's autocast rounds what goes into matrix products
    (docs/decisions/0055-weights-in-float32-under-autocast.md).

    Args:
        model: its trainable parameters get the optimiser.
        optimizer: which optimiser and rates.
        engine: ZeRO stage, precision, accumulation, clipping.
        batch_size: samples per optimiser step over all ranks.

    Raises:
        TrainingError: the batch does not divide by ranks and accumulation, or Muon with ZeRO and clipping.
    """
    import deepspeed

    if optimizer.name == "muon" and engine.zero_stage and engine.gradient_clipping:
        raise TrainingError(
            "under ZeRO 1 to 3 DeepSpeed clips after Muon's orthogonalisation, which scales every update to nearly nothing; "
            "set engine.gradient_clipping to 0 (Muon does not depend on the gradient's size) or engine.zero_stage to 0"
        )

    replicas = data_replicas(engine.sequence_parallel)
    micro, rest = divmod(batch_size, replicas * engine.gradient_accumulation)
    if rest or not micro:
        raise TrainingError(
            f"batch_size {batch_size} does not divide by {replicas} data-parallel ranks x {engine.gradient_accumulation} accumulation steps"
        )
    model.float()
    built = build_optimizer(model.named_parameters(), optimizer)
    configuration = engine_configuration(engine, micro, optimizer.name)
    if engine.zero_stage == 3:
        _cut(model, configuration)
    wrapped, *_ = deepspeed.initialize(model=model, optimizer=built, config=configuration)
    _keep_no_rounded_weights(wrapped)
    # DeepSpeed averages over all ranks, but ranks that share a sample's tokens hold parts of its gradient, to be summed.
    # (Its own `mesh_param` would do the sum, but in 0.19 then reduces over the data axis alone.)
    wrapped.loss_factor = engine.sequence_parallel
    wrapped.base_rates = [group["lr"] for group in wrapped.optimizer.param_groups]
    return wrapped


def answering(model: nn.Module, engine: EngineConfig, device: torch.device) -> Any:
    """A network that only answers, ready to be called: whole on the device, or cut over the ranks where ZeRO 3 cuts what is trained.

    All ranks must then call it together, as they do what is trained.
    """
    if engine.zero_stage < 3:
        return model.to(device)
    import deepspeed

    zero: dict[str, Any] = {"stage": 3}
    if engine.offload == "parameters":
        zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    # Without a precision of its own the engine leaves weights in the dtypes that they have.
    configuration = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": zero, "steps_per_print": 10**9}
    _cut(model, configuration)
    return deepspeed.initialize(model=model, config=configuration)[0]


def _cut(model: nn.Module, configuration: dict[str, Any]) -> None:
    """Weights go to the device and are cut over the ranks one after another; left to itself DeepSpeed moves the whole network there first,
    in float32, which of 14 billion weights no card of 80 GB holds beside another engine."""
    import deepspeed

    deepspeed.zero.Init(module=model, config_dict_or_path=configuration)
    device = device_of_rank()
    for module in model.modules():
        module._buffers.update({name: b if b is None else b.to(device) for name, b in module._buffers.items()})


def _keep_no_rounded_weights(engine: Any) -> None:
    """Autocast would keep a bfloat16 copy of every weight until the engine's forward pass ends, of gathered ones too. Nearly each is used once."""

    def stop_caching(*_: Any) -> None:
        if torch.is_autocast_enabled(engine.device.type):
            torch.set_autocast_cache_enabled(False)  # until this autocast ends, which puts back what was before

    engine.module.register_forward_pre_hook(stop_caching)


def device_of_rank() -> torch.device:
    """Where this rank's engines are: the accelerator that is there, else the CPU. A torch built for CUDA, which pip brings by default, names CUDA on any machine."""
    kind = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if kind is None else torch.device(kind.type, int(os.environ.get("LOCAL_RANK", "0")))


def engine_configuration(engine: EngineConfig, micro_batch: int, optimizer: str) -> dict[str, Any]:
    """DeepSpeed's own configuration for `micro_batch` samples per rank and accumulation step."""
    # Muon needs whole gradients of a matrix on the rank that updates it.
    zero: dict[str, Any] = {"stage": engine.zero_stage, "reduce_scatter": optimizer != "muon"}
    if engine.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if engine.offload == "parameters":
        zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": engine.gradient_accumulation,
        "gradient_clipping": engine.gradient_clipping,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "torch_autocast": {"enabled": engine.precision == "bf16", "dtype": "bfloat16"},
        "steps_per_print": 10**9,
    }


def accumulation_of(engine: EngineConfig, config: Any, replicas: int) -> int:
    """How many passes of a rank make an update.

    Args:
        engine: of the profile.
        config: a training's section, with `batch_size` and perhaps `micro_batch` or `gradient_accumulation` of its own.
        replicas: ranks with samples of their own.

    Raises:
        TrainingError: the batch does not divide by ranks and what a pass takes; all numbers are named.
    """
    micro, stated = _passes_asked_for(engine, config)
    if micro is None:
        if config.batch_size % (replicas * stated):
            raise TrainingError(
                f"batch_size {config.batch_size} does not divide by {replicas} data-parallel ranks x {stated} accumulation steps"
            )
        return stated
    passes, rest = divmod(config.batch_size, replicas * micro)
    if rest or not passes:
        fitting = [number for number in range(1, 1025) if config.batch_size % (number * micro) == 0]
        raise TrainingError(
            f"batch_size {config.batch_size} does not divide by {replicas} data-parallel ranks x micro_batch {micro}; with it "
            f"{', '.join(map(str, fitting[:12])) or 'no number of'} ranks do, or change batch_size to a multiple of {replicas * micro}"
        )
    return passes


def _passes_asked_for(engine: EngineConfig, config: Any) -> tuple[int | None, int]:
    """Samples of a pass, or None, and then the number of passes; a section's own word counts before the engine's."""
    micro, stated = getattr(config, "micro_batch", None), getattr(config, "gradient_accumulation", None)
    if micro is None and stated is None:
        return engine.micro_batch, engine.gradient_accumulation
    return micro, stated or 1


def ranks_of_a_sample(engine: EngineConfig, config: Any) -> int:
    """How many ranks share a sample's tokens; a section's own word counts before the engine's."""
    return getattr(config, "sequence_parallel", None) or engine.sequence_parallel


def cut_into_passes(engine: EngineConfig, config: Any, replicas: int) -> EngineConfig:
    """The engine's settings with as many accumulation steps as an update of this training has passes."""
    micro, _ = _passes_asked_for(engine, config)
    changed = {"gradient_accumulation": accumulation_of(engine, config, replicas), "micro_batch": micro}
    return engine.model_copy(update=changed)


def in_passes(profile: Profile, config: Any) -> Profile:
    """The profile as a training of this section takes it on the ranks that there are (`cut_into_passes`)."""
    engine = cut_into_passes(profile.engine, config, data_replicas(profile.engine.sequence_parallel))
    return profile.model_copy(update={"engine": engine})


def computing(engine: Any) -> AbstractContextManager[Any]:
    """What `engine(...)` runs its module in; for calls of `engine.module` itself."""
    enabled = engine.torch_autocast_enabled()
    dtype = engine.torch_autocast_dtype() if enabled else None
    return torch.autocast(engine.device.type, dtype, enabled=enabled, cache_enabled=False)


def compute_dtype(engine: Any) -> torch.dtype:
    """In which dtype the engine's matrix products run, and networks beside it, which only answer, hold their weights."""
    return engine.torch_autocast_dtype() if engine.torch_autocast_enabled() else torch.float32


def answering_dtype(engine: EngineConfig) -> torch.dtype:
    """The same, by the settings of an engine that is not built yet."""
    return torch.bfloat16 if engine.precision == "bf16" else torch.float32


def data_replicas(sequence_parallel: int) -> int:
    """How many samples' worth of ranks there are: all ranks over those that share one sample's tokens.

    Raises:
        TrainingError: the ranks do not divide into such groups.
    """
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if ranks % sequence_parallel:
        raise TrainingError(f"{ranks} ranks do not divide into groups of sequence_parallel = {sequence_parallel}")
    return ranks // sequence_parallel


def set_rate(engine: Any, factor: float) -> None:
    """Scale every group's base learning rate by `factor`."""
    for group, rate in zip(engine.optimizer.param_groups, engine.base_rates, strict=True):
        group["lr"] = rate * factor


def rate_factor(step: int, steps: int, warmup: int, decay_to: float) -> float:
    """Linear warm-up over `warmup` steps; flat for the first half; then linear to `decay_to` at the last step."""
    rise = min(1.0, (step + 1) / warmup)
    fall = 1.0 - (1.0 - decay_to) * max(0.0, (step + 1) / steps - 0.5) * 2
    return rise * fall


def backward(engine: Any, loss: Tensor) -> None:
    """`engine.backward(loss)`, where a loss that is not finite makes every gradient non-finite.

    So `take_step` skips the step on all ranks alike. The loss is multiplied by NaN, not replaced through `torch.where`, whose
    backward would poison finite steps too.
    """
    engine.backward(loss * torch.where(torch.isfinite(loss.detach()), engine.loss_factor, torch.nan))


def take_step(engine: Any) -> float:
    """`engine.step()`; returns the global gradient norm before clipping, or 0 between accumulation boundaries.

    A norm that is not finite means that every rank left weights and optimiser as they were. ZeRO's optimisers see to
    that and know their norm; without ZeRO both are done here, where the gradients are still whole.
    """
    if not engine.is_gradient_accumulation_boundary():
        engine.step()
        return 0.0
    if engine.zero_optimization_stage() == 0:
        gradients = [p.grad for p in engine.module.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if math.isfinite(norm):
            engine.step()
        else:
            with _no_update(engine.optimizer):
                engine.step()
        return norm
    engine.step()
    return math.inf if engine.optimizer.overflow else float(engine.get_global_grad_norm())


@contextmanager
def _no_update(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Let the engine count a step and clear its gradients without touching weights or momentum."""
    optimizer.step = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del optimizer.step
