"""The steps that distillations with one engine share: rates, accumulation, average, curve, checkpoints, resume."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.engine.checkpoint import Checkpoints
from training.engine.deepspeed_engine import rate_factor, set_rate, take_step
from training.engine.ema import ExponentialMovingAverage
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.recorder import Recorder

Losses = Callable[[int], Iterator[Tensor]]
Write = Callable[[dict[str, Tensor], Recorder, dict[str, Any]], dict[str, Any]]


def distil(
    job: TrainingJob,
    digest: str,
    engine: Any,
    model: nn.Module,
    decay_to: float,
    losses: Losses,
    record: dict[str, Any],
    write: Write,
) -> dict[str, Any]:
    """Train to the end or go on where it stopped; returns the record.

    Args:
        job: its section has `steps`, `warmup_steps` and `ema_decay`.
        digest: of the data.
        engine: DeepSpeed's, around `model`.
        decay_to: what the learning rates fall to, as a share.
        losses: of a step, one per accumulation step, each computed when it is asked for.
        record: numbers of this kind of job.
        write: on rank 0, from averaged weights, recorder and record to the record of what was written.
    """
    config, engine_config = getattr(job.profile, job.section), job.profile.engine
    average = ExponentialMovingAverage(model, config.ema_decay)
    checkpoints = Checkpoints(Path(job.work), job_fingerprint(job, digest), engine_config.keep_checkpoints)
    start, _ = checkpoints.load({"model": engine}, {"model": average})
    recorder = Recorder(job, config.steps, digest)
    recorder.resume_at(start)
    with recorder:
        for step in range(start, config.steps):
            set_rate(engine, rate_factor(step, config.steps, config.warmup_steps, decay_to))
            values, norm = [], 0.0
            for loss in losses(step):
                engine.backward(loss)
                norm = take_step(engine)
                values.append(float(loss.detach()))
            average.update()
            row = {"loss": sum(values) / len(values), "gradient_norm": norm}
            recorder.log(step, row, f"loss {row['loss']:.4f}")
            checkpoints.save_when_due(
                step + 1,
                config.steps,
                engine_config.checkpoint_every,
                recorder,
                {"model": engine},
                {"model": average},
                {},
            )
        recorder.flush()
        record = {"steps": config.steps, **record, "snapshot_digest": digest}
        weights = average.whole()
        if torch.distributed.get_rank() == 0:
            record = write(weights, recorder, record)
    return record
