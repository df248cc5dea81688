"""The step that distillations with one engine share: rates, accumulation, curve."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from profiles.schema import ConsistencyConfig, SlimDecoderConfig
from training.data.loader import SnapshotData
from training.data.rank_batch import RankBatch
from training.engine.deepspeed_engine import backward, data_replicas, rate_factor, set_rate, take_step
from training.engine.ema import ExponentialMovingAverage
from training.engine.loop import Step, Training
from training.engine.step_guard import MODEL, EngineStep
from training.run.jobs import TrainingJob
from training.run.validation import Validation


class SingleEngineDistillation(Training):
    """One student that follows a teacher; a subclass says by which loss, and what is written.

    Attributes:
        decay_to: what the learning rates fall to, as a share.
    """

    averaged = MODEL
    decay_to: float

    def __init__(
        self,
        job: TrainingJob,
        config: ConsistencyConfig | SlimDecoderConfig,
        data: SnapshotData,
        engine: Any,
        model: nn.Module,
    ):
        """`engine` is DeepSpeed's around `model`; ranks that share a sample's tokens count as one."""
        self.job, self.config, self.data, self.engine, self.model = job, config, data, engine, model
        self.digest, self.steps, self.engines = data.digest, config.steps, {MODEL: engine}
        self.average = ExponentialMovingAverage(model, config.ema_decay)
        self.validation = Validation()
        rank, shared = torch.distributed.get_rank(), engine.loss_factor
        self.rank, self.ranks = rank // shared, data_replicas(shared)

    @abstractmethod
    def losses(self, number: int, batch: RankBatch) -> Iterator[Tensor]:
        """Of step `number`, one per accumulation step, each computed when it is asked for."""

    def tokens(self, batch: RankBatch) -> int:
        """What the transformer reads of this rank's batch; 0 where the student is none."""
        return 0

    def step(self, number: int) -> Step:
        """One optimiser step on this rank's part of batch `number`."""
        batch = self.data.rank_batch(number, self.rank, self.ranks)
        set_rate(self.engine, rate_factor(number, self.steps, self.config.warmup_steps, self.decay_to))
        values, norm = [], 0.0
        for loss in self.losses(number, batch):
            backward(self.engine, loss)
            norm = take_step(self.engine)
            values.append(float(loss.detach()))
        row = {"loss": sum(values) / len(values), "gradient_norm": norm}
        taken = {MODEL: EngineStep(norm, batch.clip_ids)}
        return Step(row, f"loss {row['loss']:.4f}", taken, self.tokens(batch))
