"""One stage of OmniHuman-1's omni-condition training: flow matching with conditions switched on by ratio."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import Checkpoints
from training.data import Batch, SnapshotData
from training.ema import ExponentialMovingAverage
from training.engine import NonFiniteLoss, all_ranks_agree, build_engine, rate_factor, set_rate, take_step
from training.fingerprint import job_fingerprint
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.jobs import TrainingJob
from training.model import build_transformer
from training.output import write_output
from training.realised import RealisedRatios
from training.recorder import Recorder


def train_stage(job: TrainingJob) -> dict:
    """Run or resume the stage and write its output; returns the record."""
    profile = job.profile
    stage, engine_config = getattr(profile, job.section), profile.engine
    data = SnapshotData(
        Path(job.snapshot), Path(job.features_root), profile, stage.subset, stage.seed, stage.batch_size, stage.ratios, stage.image_share
    )
    model = build_transformer(profile, job.parent, stage.seed)
    if engine_config.activation_checkpointing:
        model.enable_gradient_checkpointing()
    engine = build_engine(model, stage.optimizer, engine_config, stage.batch_size)
    average = ExponentialMovingAverage(model, stage.ema_decay, gather=engine_config.zero_stage == 3)
    checkpoints = Checkpoints(Path(job.work), job_fingerprint(job, data.digest), engine_config.keep_checkpoints)
    start, state = checkpoints.load({"model": engine}, {"model": average})
    recorder = Recorder(job, stage.steps, data.digest)
    recorder.resume_at(start)
    seen, skipped = RealisedRatios(state.get("seen")), int(state.get("skipped", 0))
    every = engine_config.checkpoint_every
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    with recorder:
        for step in range(start, stage.steps):
            batch = data.batch(step, rank, ranks)
            set_rate(engine, rate_factor(step, stage.steps, stage.warmup_steps, stage.decay_to))
            row = _step(engine, batch, stage.timestep_law, stage.timestep_shift)
            if row is None:
                skipped += 1
                if skipped >= engine_config.nonfinite_limit:
                    raise NonFiniteLoss(f"{skipped} non-finite losses; the last good checkpoint is kept; clips of the last batch: {batch.clip_ids}")
                continue
            average.update(model)
            seen.add(data.draws(step))
            recorder.log(step, row | data.numbers(step), f"loss {row['loss']:.4f}")
            state = {"seen": dict(seen.counts), "skipped": skipped, "data": data.state(step + 1)}
            checkpoints.save_when_due(step + 1, stage.steps, every, recorder, {"model": engine}, {"model": average}, state)
        recorder.flush()
        record = {"steps": stage.steps, "snapshot_digest": data.digest, "skipped_steps": skipped, **data.state(stage.steps), **seen.shares()}
        if rank == 0:
            record = write_output(job, model, average, recorder, record)
    return record


def _step(engine, batch: Batch, law: str, shift: float) -> dict[str, float] | None:
    """One optimiser step over all accumulation micro-steps; None when the loss was not finite on some rank."""
    accumulation = engine.gradient_accumulation_steps()
    dtype = next(engine.module.parameters()).dtype
    total: dict[str, list[float]] = defaultdict(list)
    losses, norm = [], 0.0
    for part in split_batch(batch, accumulation):
        part = part.to(engine.device, dtype)
        t = sample_timesteps(part.uniform.float(), law, shift)
        x_t = interpolate(part.latents, part.noise, t)
        velocity = engine(x_t, t * 1000, return_dict=False, **part.conditions())[0]
        each = per_sample_loss(velocity, part.latents, part.noise)
        loss = each.mean()
        if not all_ranks_agree(bool(torch.isfinite(loss))):
            engine.zero_grad()
            return None
        engine.backward(loss)
        norm = take_step(engine)
        losses.append(float(loss.detach()))
        for label, value in zip(part.labels, each.detach().tolist(), strict=True):
            total[f"loss/{label}"].append(value)
    row = {"loss": sum(losses) / len(losses), "gradient_norm": norm}
    return row | {name: sum(values) / len(values) for name, values in total.items()}


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Cut a rank's batch into `parts` micro-batches of equal size, in order."""
    if parts == 1:
        return [batch]
    size = len(batch.labels) // parts
    return [_narrow(batch, start, size) for start in range(0, size * parts, size)]


def _narrow(batch: Batch, start: int, size: int) -> Batch:
    values = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    cut: dict[str, Any] = {k: v.narrow(0, start, size) if isinstance(v, Tensor) else v[start : start + size] for k, v in values.items()}
    return replace(batch, **cut)
