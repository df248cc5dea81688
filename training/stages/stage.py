"""One stage of OmniHuman-1's omni-condition training: flow matching with conditions switched on by ratio."""

import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from profiles.conditions import CONDITIONS
from profiles.schema import StageConfig
from training.data.conditions import Conditions
from training.data.loader import Batch, SnapshotData, SnapshotError
from training.data.realised_ratios import RealisedRatios
from training.engine.checkpoint import Checkpoints
from training.engine.deepspeed_engine import build_engine, data_replicas, rate_factor, set_rate, take_step
from training.engine.ema import ExponentialMovingAverage
from training.engine.sequence_parallel import share_tokens
from training.engine.step_guard import Guard
from training.engine.throughput import Throughput, batch_flops, peak_tflops
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.product import write_output
from training.run.recorder import Recorder
from training.run.validation import Watch
from training.stages.lora import add_lora
from training.stages.model import build_transformer

# Every condition set, nested or not, in one order for all ranks.
LABELS = tuple(dict.fromkeys(Conditions(*on).label for on in product((False, True), repeat=len(CONDITIONS))))


def train_stage(job: TrainingJob) -> dict:
    """Run or resume the stage and write its output; returns the record."""
    profile = job.profile
    stage, engine_config = getattr(profile, job.section), profile.engine
    data = open_data(job, stage)
    watch = Watch(job, stage, open_held_out(job, stage))
    model = prepare_model(job, stage)
    engine = build_engine(model, stage.optimizer, engine_config, stage.batch_size)
    average = ExponentialMovingAverage(model, stage.ema_decay)
    checkpoints = Checkpoints(Path(job.work), job_fingerprint(job, data.digest), engine_config.keep_checkpoints)
    start, state = checkpoints.load({"model": engine}, {"model": average})
    recorder = Recorder(job, stage.steps, data.digest)
    recorder.resume_at(start)
    held_out: dict[str, float] = {}
    guard, seen = Guard(engine_config, recorder, state.get("guard", {})), RealisedRatios(state.get("seen"))
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    replicas = data_replicas(engine_config.sequence_parallel)
    replica = rank // engine_config.sequence_parallel
    throughput = Throughput(peak_tflops(engine_config.peak_tflops), ranks)
    with recorder:
        for step in range(start, stage.steps):
            started = time.perf_counter()
            batch = data.batch(step, replica, replicas)
            set_rate(engine, rate_factor(step, stage.steps, stage.warmup_steps, stage.decay_to))
            result = optimizer_step(engine, batch, stage)
            if guard.accepts(step, result.gradient_norm, batch.clip_ids):
                average.update()
                seen.add(data.draws(step))
                tokens, flops = batch_flops(model.config, batch)
                measured = throughput.row(time.perf_counter() - started, tokens * replicas, flops * replicas)
                held_out = watch.look(step + 1, engine, recorder) if watch.due(step + 1) else {}
                row = result.row() | data.numbers(step) | held_out
                recorder.log(step, row, f"loss {result.loss:.4f}", measured)
            state = {"seen": dict(seen.counts), "guard": guard.state(), "data": data.state(step + 1)}
            checkpoints.save_when_due(
                step + 1,
                stage.steps,
                engine_config.checkpoint_every,
                recorder,
                {"model": engine},
                {"model": average},
                state,
                held_out.get("held_out/loss"),
            )
        recorder.flush()
        record = {
            "steps": stage.steps,
            "snapshot_digest": data.digest,
            "skipped_steps": guard.skipped,
            "events": recorder.event_count(),
            "tokens_per_second": throughput.median(),
            **data.state(stage.steps),
            **seen.shares(),
        }
        weights = average.whole()
        if rank == 0:
            record = write_output(job, model, weights, recorder, record)
    return record


def open_data(job: TrainingJob, stage: StageConfig, held_out: bool = False) -> SnapshotData:
    """The stage's part of the snapshot."""
    return SnapshotData(
        Path(job.snapshot),
        Path(job.features_root),
        job.profile,
        stage.subset,
        stage.seed,
        stage.batch_size,
        stage.ratios,
        stage.image_share,
        held_out,
    )


def open_held_out(job: TrainingJob, stage: StageConfig) -> SnapshotData | None:
    """The clips that are never trained on, or None where the snapshot is too small to hold any, which is said."""
    if job.profile.curation.held_out_share == 0:
        return None
    try:
        return open_data(job, stage, held_out=True)
    except SnapshotError as error:
        print(f"{job.name}: no held-out loss: {error}", flush=True)
        return None


def prepare_model(job: TrainingJob, stage: StageConfig) -> Any:
    """The parent's weights, with what the profile asks of them: recomputed activations, LoRA, shared tokens, compiled blocks."""
    model = build_transformer(job.profile, job.parent, stage.seed)
    if job.profile.engine.activation_checkpointing:
        model.enable_gradient_checkpointing()
    if stage.lora is not None:
        add_lora(model, stage.lora)
    if job.profile.engine.sequence_parallel > 1:
        share_tokens(model, job.profile.engine.sequence_parallel)
    if job.profile.engine.compile_blocks:
        model.compile_repeated_blocks()
    return model


@dataclass(frozen=True)
class StepResult:
    """Mean loss over the optimiser step's global batch, the same for each condition set in it, and the gradient norm
    before clipping."""

    loss: float
    by_label: dict[str, float]
    gradient_norm: float

    def row(self) -> dict[str, float]:
        """For the curve."""
        return {
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            **{f"loss/{label}": v for label, v in self.by_label.items()},
        }


def optimizer_step(engine: Any, batch: Batch, stage: StageConfig) -> StepResult:
    """One optimiser step over all accumulation micro-steps.

    A loss that is not finite makes every gradient non-finite, so that `take_step` skips the step on all ranks alike.
    """
    dtype = next(engine.module.parameters()).dtype
    sums, norm = torch.zeros(2, len(LABELS), dtype=torch.float64), 0.0
    for part in split_batch(batch, engine.gradient_accumulation_steps()):
        part = part.to(engine.device, dtype)
        t = sample_timesteps(part.uniform.float(), stage.timestep_law, stage.timestep_shift)
        x_t = interpolate(part.latents, part.noise, t)
        velocity = engine(x_t, t * 1000, return_dict=False, **part.conditions())[0]
        each = per_sample_loss(velocity, part.latents, part.noise)
        loss = each.mean()
        engine.backward(loss * torch.where(torch.isfinite(loss.detach()), engine.loss_factor, torch.nan))
        norm = take_step(engine)
        which = torch.tensor([LABELS.index(label) for label in part.labels])
        sums.index_add_(
            1, which, torch.stack([each.detach().double().cpu(), torch.ones(len(which), dtype=torch.float64)])
        )
    return _result(sums, norm, engine.device)


def _result(sums: Tensor, norm: float, device: torch.device) -> StepResult:
    """Add up `(2, labels)` losses and counts over all ranks."""
    sums = sums.to(device)
    torch.distributed.all_reduce(sums)
    total, count = sums.cpu()
    present = [i for i in range(len(LABELS)) if count[i] > 0]
    return StepResult(float(total.sum() / count.sum()), {LABELS[i]: float(total[i] / count[i]) for i in present}, norm)


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Cut a rank's batch into `parts` micro-batches of equal size, in order."""
    if parts == 1:
        return [batch]
    size = len(batch.labels) // parts
    return [_narrow(batch, start, size) for start in range(0, size * parts, size)]


def _narrow(batch: Batch, start: int, size: int) -> Batch:
    values = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    cut: dict[str, Any] = {k: v.narrow(0, start, size) for k, v in values.items() if isinstance(v, Tensor)}
    return replace(batch, **cut, samples=batch.samples[start : start + size])
