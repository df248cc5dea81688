"""One stage of OmniHuman-1's omni-condition training: flow matching with conditions switched on by ratio."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omnihuman.bases.registry import base_of_class
from profiles.schema import StageConfig
from training.data.compatibility import check_conditions
from training.data.feature_rows import feature_rows
from training.data.loader import SnapshotData, SnapshotError
from training.data.realised_ratios import RealisedRatios
from training.engine.deepspeed_engine import build_engine, data_replicas, in_passes, rate_factor, set_rate
from training.engine.ema import ExponentialMovingAverage
from training.engine.loop import Loop, Step, Training
from training.engine.sequence_parallel import share_tokens
from training.engine.step_guard import MODEL, EngineStep
from training.engine.throughput import batch_flops, batch_tokens
from training.run.jobs import TrainingJob
from training.run.product import write_transformer
from training.run.recorder import Recorder
from training.stages.flow_matching_step import optimizer_step
from training.stages.held_out import HeldOutValidation
from training.stages.lora import add_lora
from training.stages.model import build_transformer, check_takes_videos


def train_stage(job: TrainingJob) -> dict[str, Any]:
    """Run or resume the stage and write its product; returns the record."""
    return Loop(Stage(job)).run()


class Stage(Training):
    """Flow matching of one transformer; its state is what it has seen."""

    averaged = MODEL

    def __init__(self, job: TrainingJob):
        self.job = job
        self.config: StageConfig = getattr(job.profile, job.section)
        check_takes_videos(job.profile, job.section)
        engine = in_passes(job.profile, self.config).engine
        self.data = open_data(job, self.config)
        check_conditions(self.data.table, job.profile, job.section, Path(job.snapshot))
        held_out = open_held_out(job, self.config)
        self.model = prepare_model(job, self.config)
        self.architecture = base_of_class(type(self.model).__name__, "this training").architecture
        self.engine = build_engine(self.model, self.config.optimizer, engine, self.config.batch_size)
        self.validation = HeldOutValidation(job, self.config, held_out, self.engine)
        self.digest, self.steps, self.engines = self.data.digest, self.config.steps, {MODEL: self.engine}
        self.average = ExponentialMovingAverage(self.model, self.config.ema_decay)
        self.replica = torch.distributed.get_rank() // engine.sequence_parallel
        self.replicas = data_replicas(engine.sequence_parallel)
        self.seen = RealisedRatios()

    def step(self, number: int) -> Step:
        """One optimiser step on this replica's part of batch `number`."""
        config, batch = self.config, self.data.rank_batch(number, self.replica, self.replicas)
        set_rate(self.engine, rate_factor(number, config.steps, config.warmup_steps, config.decay_to))
        losses = optimizer_step(self.engine, batch, config)
        row, note = losses.row() | self.data.numbers(number), f"loss {losses.loss:.4f}"
        taken = {MODEL: EngineStep(losses.gradient_norm, batch.clip_ids)}
        return Step(
            row, note, taken, batch_tokens(batch), partial(batch_flops, self.model.config, batch, self.architecture)
        )

    def accept(self, number: int) -> None:
        """Count the samples of batch `number`."""
        self.seen.add(self.data.draws(number))

    def state(self, done: int) -> dict[str, Any]:
        """What was seen, and where the loader stands."""
        return {"seen": dict(self.seen.counts), "data": self.data.state(done)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.seen = RealisedRatios(state.get("seen"))

    def record(self) -> dict[str, Any]:
        """Where the loader ended, and what the ratios came to."""
        return {**self.data.state(self.steps), **self.seen.shares()}

    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write the averaged transformer."""
        return write_transformer(self.job, self.model, weights, recorder, record)


def open_data(job: TrainingJob, stage: StageConfig, held_out: bool = False) -> SnapshotData:
    """The stage's part of the snapshot."""
    return SnapshotData(
        Path(job.snapshot),
        feature_rows(job),
        in_passes(job.profile, stage),
        stage.subset,
        stage.seed,
        stage.batch_size,
        stage.ratios,
        stage.image_share,
        held_out,
        lips=stage.mouth_weight != 1,
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
