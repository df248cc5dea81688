"""One update of the discriminator and one of the generator, each through its own DeepSpeed engine (APT section 4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import AdversarialConfig
from training.data.batch import Batch
from training.data.micro_batches import split_batch
from training.distillation.objectives import approximated_r1, discriminator_loss, generator_loss
from training.distillation.one_step import one_step
from training.engine.deepspeed_engine import backward, take_step
from training.flow_matching import shift_timestep


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


def draw_parts(batch: Batch, config: AdversarialConfig, parts: int) -> list[Draw]:
    """Cut a rank's batch into `parts` micro-batches; timestep and perturbation of a sample depend on its own draw alone."""
    size = len(batch.labels) // parts
    t = shift_timestep(batch.uniform, config.timestep_shift)  # once, in [0, 1] (APT section 4.3)
    shape = (2, *batch.latents.shape[1:])
    normal = torch.stack(
        [torch.randn(shape, generator=_generator(sample.noise_seed)) for sample in batch.samples], dim=1
    )
    return [
        Draw(part, t.narrow(0, i * size, size), normal.narrow(1, i * size, size))
        for i, part in enumerate(split_batch(batch, parts))
    ]


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


def discriminator_step(g_engine: Any, d_engine: Any, draws: list[Draw], config: AdversarialConfig) -> dict[str, float]:
    """One optimiser step of the discriminator: real against generated, with R1 (and R2 when relativistic)."""
    rows, norm = [], 0.0
    for draw in draws:
        part = draw.batch.to(d_engine.device, next(g_engine.module.parameters()).dtype)
        conditions = part.conditions()
        with torch.no_grad():
            fake = one_step(g_engine.module, part.noise, conditions)
        perturbation = config.penalty_sigma * draw.perturbation.to(fake)
        samples = [part.latents, fake, part.latents + perturbation[0]]
        if config.objective == "relativistic":
            samples.append(fake + perturbation[1])
        # One forward for all: the same t for clean and perturbed, and one backward through the engine.
        t = draw.t.to(d_engine.device).repeat(len(samples))
        real, fake_logits, *perturbed = d_engine(torch.cat(samples), t, conditions.repeated(len(samples))).chunk(
            len(samples)
        )
        loss = discriminator_loss(real, fake_logits, config.objective)
        r1 = approximated_r1(real, perturbed[0])
        r2 = approximated_r1(fake_logits, perturbed[1]) if len(perturbed) > 1 else torch.zeros_like(r1)
        backward(d_engine, loss + config.penalty_weight * (r1 + r2))
        norm = take_step(d_engine)
        rows.append(
            {
                "discriminator_loss": loss,
                "r1": r1,
                "r2": r2,
                "logit_real": real.mean(),
                "logit_fake": fake_logits.mean(),
                "logit_gap": (real - fake_logits).mean(),
                "batch_diversity": spread(fake) / spread(part.latents),
            }
        )
    return _mean(rows) | {"discriminator_gradient_norm": norm}


def generator_step(g_engine: Any, d_engine: Any, draws: list[Draw], config: AdversarialConfig) -> dict[str, float]:
    """One optimiser step of the generator through the frozen discriminator."""
    rows, norm = [], 0.0
    with frozen(d_engine.module):
        for draw in draws:
            part = draw.batch.to(g_engine.device, next(g_engine.module.parameters()).dtype)
            conditions, t = part.conditions(), draw.t.to(g_engine.device)
            real = None
            if config.objective == "relativistic":
                with torch.no_grad():
                    real = d_engine.module(part.latents, t, conditions)
            fake = d_engine.module(one_step(g_engine, part.noise, conditions), t, conditions)
            loss = generator_loss(real, fake, config.objective)
            backward(g_engine, loss)
            norm = take_step(g_engine)
            rows.append({"generator_loss": loss})
    if d_engine.zero_optimization_stage() == 3:
        # The frozen critic's patch embedding also ran on references, which ask for no gradient: ZeRO-3's hook never gave
        # it back, and whoever gathers the critic's weights next would fail.
        d_engine.optimizer.empty_partition_cache()
    return _mean(rows) | {"generator_gradient_norm": norm}


def spread(x: Tensor) -> Tensor:
    """Mean distance between two samples of `(B, ...)`, root mean square per element; 1 where there is one sample only."""
    if len(x) < 2:
        return torch.ones((), device=x.device)
    flat = x.detach().float().flatten(1)
    return torch.pdist(flat).mean() / flat.shape[1] ** 0.5


def _mean(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    return {name: float(torch.stack([row[name].detach().float() for row in rows]).mean()) for name in rows[0]}
