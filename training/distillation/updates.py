"""One update of the discriminator and one of the generator, each through its own DeepSpeed engine (APT section 4)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.precision import float32_products
from profiles.schema import AdversarialConfig
from training.data.batch import Batch
from training.data.micro_batches import split_batch
from training.data.rank_batch import RankBatch
from training.distillation.objectives import approximated_r1, discriminator_loss, generator_loss
from training.distillation.one_step import one_step
from training.engine.deepspeed_engine import backward, compute_dtype, computing, take_step
from training.flow_matching import shift_timestep

# From this perturbation on TF32 measures the penalty within 3 % of float32; at 0.01 it does not (docs/results/2026-11-29-precision.md).
TF32_SIGMA = 0.05


@dataclass(frozen=True)
class Draw:
    """A micro-batch with everything random about it, so that ranks and accumulation change no sample.

    Attributes:
        batch: samples, conditions and the generator's noise.
        t: `(B,)` float32, the discriminator's timestep, one per sample: clean and perturbed share it.
        perturbation: `(2, B, 16, F, h, w)` standard normal, for real and for generated samples.
    """

    batch: Batch
    t: Tensor
    perturbation: Tensor


def draw_parts(batch: Batch | RankBatch, config: AdversarialConfig, parts: int) -> Iterator[Draw]:
    """Cut a rank's batch into `parts` micro-batches; timestep and perturbation of a sample depend on its own draw alone."""
    for part in split_batch(batch, parts):
        t = shift_timestep(part.uniform, config.timestep_shift)  # once, in [0, 1] (APT section 4.3)
        shape = (2, *part.latents.shape[1:])
        normal = [torch.randn(shape, generator=_generator(sample.noise_seed)) for sample in part.samples]
        yield Draw(part, t, torch.stack(normal, dim=1))


def _generator(noise_seed: int) -> torch.Generator:
    # One bit from the seed of the generator's noise, so that perturbation and noise are not the same numbers.
    return torch.Generator().manual_seed(noise_seed ^ (1 << 62))


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through `module` but not into it.

    In the generator's step an unfrozen critic is silently wrong under ZeRO 0 and 1 and an assertion under 2 and 3.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def discriminator_step(
    g_engine: Any, d_engine: Any, draws: Iterable[Draw], config: AdversarialConfig
) -> dict[str, float]:
    """One optimiser step of the discriminator: real against generated, with R1 (and R2 when relativistic)."""
    rows, norm = [], 0.0
    for draw in draws:
        row, norm = discriminator_pass(g_engine, d_engine, draw, config)
        rows.append(row)
    return mean_of(rows) | {"discriminator_gradient_norm": norm}


def discriminator_pass(
    g_engine: Any, d_engine: Any, draw: Draw, config: AdversarialConfig
) -> tuple[dict[str, Tensor], float]:
    """One micro-batch of `discriminator_step`: its numbers, and the gradient norm where the engine then stepped."""
    part = draw.batch.to(d_engine.device, compute_dtype(d_engine))
    conditions = part.conditions()
    with torch.no_grad(), computing(g_engine):
        fake = one_step(g_engine.module, part.noise, conditions)
    row, norm = judge(d_engine, part.latents, fake, draw, conditions, config)
    return row | {"batch_diversity": spread(fake) / spread(part.latents)}, norm


def judge(
    d_engine: Any,
    real: Tensor,
    fake: Tensor,
    draw: Draw,
    conditions: ConditionInputs,
    config: AdversarialConfig,
    **placed: Any,
) -> tuple[dict[str, Tensor], float]:
    """Forward, penalties and backward of the discriminator on real and generated latents of the same conditions; `placed` goes to it."""
    perturbation = config.penalty_sigma * draw.perturbation.to(fake)
    samples = [real, fake, real + perturbation[0]]
    if config.objective == "relativistic":
        samples.append(fake + perturbation[1])
    pass_through = _together if config.stacked else _one_by_one
    with float32_products("high" if config.penalty_sigma >= TF32_SIGMA else "highest"):
        return pass_through(
            partial(d_engine, **placed), d_engine, samples, draw.t.to(d_engine.device), conditions, config
        )


def samples_judged(config: AdversarialConfig) -> int:
    """How many samples the discriminator sees of each that it is given: real, generated, and those of them that are perturbed."""
    return 4 if config.objective == "relativistic" else 3


def _together(
    judging: Callable[..., Tensor],
    d_engine: Any,
    samples: list[Tensor],
    t: Tensor,
    conditions: ConditionInputs,
    config: AdversarialConfig,
) -> tuple[dict[str, Tensor], float]:
    """One forward for all: the same t for clean and perturbed, and one backward through the engine."""
    count = len(samples)
    logits = judging(torch.cat(samples), t.repeat(count), conditions.repeated(count), exact=True).chunk(count)
    loss, row = _losses(logits, config)
    backward(d_engine, loss)
    return row, take_step(d_engine)


def _one_by_one(
    judging: Callable[..., Tensor],
    d_engine: Any,
    samples: list[Tensor],
    t: Tensor,
    conditions: ConditionInputs,
    config: AdversarialConfig,
) -> tuple[dict[str, Tensor], float]:
    """The same gradient with the activations of one sample: the loss knows them by one number each, so its derivative by these is
    taken first, and then sent through one sample after another. The engine counts each as a pass of its own."""
    with torch.no_grad():
        logits = [judging(x, t, conditions, exact=True).requires_grad_() for x in samples]
    loss, row = _losses(logits, config)
    norm = 0.0
    for x, slope in zip(samples, torch.autograd.grad(loss, logits), strict=True):
        # The engine takes the mean over its passes, of which there are so many more.
        backward(d_engine, len(samples) * (judging(x, t, conditions, exact=True) * slope).sum())
        norm = take_step(d_engine)
    return row, norm


def _losses(logits: Sequence[Tensor], config: AdversarialConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """What is minimised, and its parts."""
    real, fake, *perturbed = logits
    loss = discriminator_loss(real, fake, config.objective)
    r1 = approximated_r1(real, perturbed[0])
    r2 = approximated_r1(fake, perturbed[1]) if len(perturbed) > 1 else torch.zeros_like(r1)
    row = {
        "discriminator_loss": loss,
        "r1": r1,
        "r2": r2,
        "logit_real": real.mean(),
        "logit_fake": fake.mean(),
        "logit_gap": (real - fake).mean(),
    }
    return loss + config.penalty_weight * (r1 + r2), row


def generator_step(g_engine: Any, d_engine: Any, draws: Iterable[Draw], config: AdversarialConfig) -> dict[str, float]:
    """One optimiser step of the generator through the frozen discriminator."""
    rows, norm = [], 0.0
    with frozen(d_engine.module):
        for draw in draws:
            loss, norm = generator_pass(g_engine, d_engine, draw, config)
            rows.append({"generator_loss": loss})
    if d_engine.zero_optimization_stage() == 3:
        # The frozen critic's patch embedding also ran on references, which ask for no gradient: ZeRO-3's hook never gave
        # it back, and whoever gathers the critic's weights next would fail.
        d_engine.optimizer.empty_partition_cache()
    return mean_of(rows) | {"generator_gradient_norm": norm}


def generator_pass(g_engine: Any, d_engine: Any, draw: Draw, config: AdversarialConfig) -> tuple[Tensor, float]:
    """One micro-batch of `generator_step`, inside `frozen`: its loss, and the gradient norm where the engine then stepped."""
    part = draw.batch.to(g_engine.device, compute_dtype(g_engine))
    conditions, t = part.conditions(), draw.t.to(g_engine.device)
    real = None
    if config.objective == "relativistic":
        with torch.no_grad(), computing(d_engine):
            real = d_engine.module(part.latents, t, conditions)
    made = one_step(g_engine, part.noise, conditions)
    with computing(d_engine):
        fake = d_engine.module(made, t, conditions)
    loss = generator_loss(real, fake, config.objective)
    backward(g_engine, loss)
    return loss, take_step(g_engine)


def spread(x: Tensor) -> Tensor:
    """Mean distance between two samples of `(B, ...)`, root mean square per element; 1 where there is one sample only."""
    if len(x) < 2:
        return torch.ones((), device=x.device)
    flat = x.detach().float().flatten(1)
    return torch.pdist(flat).mean() / flat.shape[1] ** 0.5


def mean_of(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Each number's mean over the passes of an update."""
    return {name: float(torch.stack([row[name].detach().float() for row in rows]).mean()) for name in rows[0]}
