"""Adversarial post-training of the one-step generator against real data, images then videos (APT section 4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import AdversarialConfig
from training.checkpoint import Checkpoints
from training.data import Batch, SnapshotData
from training.distillation.discriminator import Discriminator
from training.distillation.objectives import approximated_r1, discriminator_loss, generator_loss, perturb
from training.distillation.one_step import one_step
from training.ema import ExponentialMovingAverage
from training.engine import NonFiniteLoss, all_ranks_agree, build_engine, take_step
from training.fingerprint import job_fingerprint
from training.flow_matching import shift_timestep
from training.jobs import TrainingJob
from training.model import build_transformer
from training.output import write_output
from training.recorder import Recorder
from training.stage import split_batch


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


def train_adversarial(job: TrainingJob) -> dict:
    """Run or resume one phase; write the generator's average and return the record."""
    profile = job.profile
    config: AdversarialConfig = getattr(profile, job.section)
    images = job.section == "adversarial_images"
    engine_config = profile.engine.model_copy(update={"gradient_clipping": 0.0})  # APT section 4.4: no clipping
    seed = config.seed + (201 if images else 301)
    data = SnapshotData(Path(job.snapshot), Path(job.features_root), profile, "text", seed, config.batch_size, config.ratios)
    generator = build_transformer(profile, job.parent, config.seed)
    torch.manual_seed(config.seed + 7)
    discriminator = Discriminator(build_transformer(profile, job.diffusion_parent, config.seed))
    g_engine = build_engine(generator, config.generator, engine_config, config.batch_size)
    d_engine = build_engine(discriminator, config.discriminator, engine_config, config.batch_size)
    average = ExponentialMovingAverage(generator, config.ema_decay)
    engines = {"generator": g_engine, "discriminator": d_engine}
    checkpoints = Checkpoints(Path(job.work), job_fingerprint(job, data.digest), engine_config.keep_checkpoints)
    start, _ = checkpoints.load(engines, {"generator": average})
    total = config.critic_warmup + config.steps
    recorder = Recorder(job, total, data.digest)
    recorder.resume_at(start)
    every = engine_config.checkpoint_every
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def load(draw: int) -> list[Batch]:
        batch = data.batch(draw, rank, ranks)
        return split_batch(batch.as_images() if images else batch, g_engine.gradient_accumulation_steps())

    with recorder:
        for step in range(start, total):
            noise = torch.Generator().manual_seed((config.seed + 1) * 1_000_003 + step * ranks + rank)
            row = discriminator_step(g_engine, d_engine, load(2 * step), config, noise)
            if step >= config.critic_warmup:
                row |= generator_step(g_engine, d_engine, load(2 * step + 1), config, noise)
                average.update()
            if not all_ranks_agree(all(v == v and abs(v) != float("inf") for v in row.values())):
                raise NonFiniteLoss(f"update {step} of {job.name} is not finite: {row}; the last good checkpoint is kept in {job.work}")
            recorder.log(step, row, f"D {row['discriminator_loss']:.3f} gap {row['logit_gap']:+.2f}")
            checkpoints.save_when_due(step + 1, total, every, recorder, engines, {"generator": average}, {})
        recorder.flush()
        record = {"steps": config.steps, "critic_warmup": config.critic_warmup, "objective": config.objective, "snapshot_digest": data.digest}
        weights = average.whole()
        if rank == 0:
            record = write_output(job, generator, weights, recorder, record)
    return record


def discriminator_step(g_engine: Any, d_engine: Any, parts: list[Batch], config: AdversarialConfig, noise: torch.Generator) -> dict[str, float]:
    """One optimiser step of the discriminator: real against generated, with R1 (and R2 when relativistic)."""
    rows, norm = [], 0.0
    for part in parts:
        part = part.to(d_engine.device, next(g_engine.module.parameters()).dtype)
        conditions = part.conditions()
        with torch.no_grad():
            fake = one_step(g_engine.module, part.noise, conditions)
        t = draw_timesteps(len(fake), config.timestep_shift, noise).to(fake)
        samples = [part.latents, fake, perturb(part.latents, config.penalty_sigma, noise)]
        if config.objective == "relativistic":
            samples.append(perturb(fake, config.penalty_sigma, noise))
        # One forward for all: the same t for clean and perturbed, and one backward through the engine.
        logits = d_engine(torch.cat(samples), t.repeat(len(samples)), repeat_conditions(conditions, len(samples)))
        real, fake_logits, *perturbed = logits.float().chunk(len(samples))
        loss = discriminator_loss(real, fake_logits, config.objective)
        r1 = approximated_r1(real, perturbed[0])
        r2 = approximated_r1(fake_logits, perturbed[1]) if len(perturbed) > 1 else torch.zeros(())
        d_engine.backward(loss + config.penalty_weight * (r1 + r2.to(r1)))
        norm = take_step(d_engine)
        rows.append({
            "discriminator_loss": float(loss.detach()), "r1": float(r1.detach()), "r2": float(r2.detach()),
            "logit_real": float(real.detach().mean()), "logit_fake": float(fake_logits.detach().mean()),
            "logit_gap": float((real - fake_logits).detach().mean()),
        })
    return _mean(rows) | {"discriminator_gradient_norm": norm}


def generator_step(g_engine: Any, d_engine: Any, parts: list[Batch], config: AdversarialConfig, noise: torch.Generator) -> dict[str, float]:
    """One optimiser step of the generator through the frozen discriminator."""
    rows, norm = [], 0.0
    with frozen(d_engine.module):
        for part in parts:
            part = part.to(g_engine.device, next(g_engine.module.parameters()).dtype)
            conditions = part.conditions()
            t = draw_timesteps(len(part.latents), config.timestep_shift, noise).to(part.latents)
            real = None
            if config.objective == "relativistic":
                with torch.no_grad():
                    real = d_engine.module(part.latents, t, conditions).float()
            fake = d_engine.module(one_step(g_engine, part.noise, conditions), t, conditions).float()
            loss = generator_loss(real, fake, config.objective)
            g_engine.backward(loss)
            norm = take_step(g_engine)
            rows.append({"generator_loss": float(loss.detach())})
    return _mean(rows) | {"generator_gradient_norm": norm}


def draw_timesteps(batch: int, shift: float, generator: torch.Generator) -> Tensor:
    """`(batch,)` t ~ U(0, 1), shifted once (APT section 4.3: t = 0 collapses)."""
    return shift_timestep(torch.rand(batch, generator=generator), shift)


def repeat_conditions(conditions: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    """Conditions for `times` stacked copies of a batch."""
    return {name: torch.cat([value] * times) for name, value in conditions.items()}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
