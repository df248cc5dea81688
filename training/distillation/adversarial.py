"""Adversarial post-training of the one-step generator against real data, images then videos (APT section 4)."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omnihuman.bases.model import OmniHumanModel
from omnihuman.precision import cast_weights
from profiles.schema import AdversarialConfig
from training.data.compatibility import SnapshotError
from training.data.conditions import Conditions
from training.data.feature_rows import feature_rows
from training.data.loader import SnapshotData
from training.data.rank_batch import RankBatch
from training.distillation.critic_probe import Probe, kept_for, probe_conditions
from training.distillation.discriminator import Discriminator
from training.distillation.distillation_card import write_card
from training.distillation.gradient_cosine import GradientCosine
from training.distillation.one_step import one_step
from training.distillation.probe_validation import ProbeValidation
from training.distillation.updates import Draw, discriminator_step, draw_parts, generator_step, samples_judged
from training.engine.deepspeed_engine import (
    answering_dtype,
    build_engine,
    cut_into_passes,
    data_replicas,
    device_of_rank,
    ranks_of_a_sample,
)
from training.engine.ema import ExponentialMovingAverage
from training.engine.loop import Loop, Step, Training
from training.engine.process_group import mean_over_ranks
from training.engine.sequence_parallel import share_tokens
from training.engine.step_guard import EngineStep
from training.engine.throughput import batch_tokens
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.product import write_transformer
from training.run.recorder import Recorder
from training.run.stopping import of_rank_0
from training.stages.model import build_transformer, check_takes_videos


def train_adversarial(job: TrainingJob) -> dict[str, Any]:
    """Run or resume one phase; write the generator's average and return the record.

    Raises:
        training.distillation.collapse.Collapsed: collapsed once more than it may; the last good checkpoint is kept.
    """
    return Loop(AdversarialPhase(job)).run()


class AdversarialPhase(Training):
    """Two engines, the generator's average, and the watch over them."""

    averaged = "generator"
    validation: ProbeValidation
    generator: Any
    generate = staticmethod(one_step)
    look: type[ProbeValidation] = ProbeValidation

    def __init__(self, job: TrainingJob):
        self.job, profile = job, job.profile
        self.config: AdversarialConfig = getattr(profile, job.section)
        self.images = job.section == "adversarial_images"
        check_takes_videos(profile, job.section)
        self.rank = torch.distributed.get_rank()
        shared = ranks_of_a_sample(profile.engine, self.config)
        self.replica, self.replicas = self.rank // shared, data_replicas(shared)
        self.steps = self.config.updates
        # APT section 4.4: no clipping.
        engine = cut_into_passes(profile.engine, self.config, self.replicas)
        self.engine_config = engine.model_copy(update={"gradient_clipping": 0.0, "sequence_parallel": shared})
        self.data = self._open()
        self.digest = self.data.digest
        probe = (
            self._build_probe()
        )  # before the engines: its teacher is whole on every rank, and gone when they are built
        self._build_engines()
        self.validation = self.look(self.config, probe, self.g_engine, self.average)

    def _open(self, held_out: bool = False) -> SnapshotData:
        job, config, seed = self.job, self.config, self.config.seed + (201 if self.images else 301)
        profile = job.profile.model_copy(update={"engine": self.engine_config})
        return SnapshotData(
            Path(job.snapshot),
            feature_rows(job),
            profile,
            "text",
            seed,
            config.batch_size,
            config.ratios,
            held_out=held_out,
        )

    def _build_engines(self) -> None:
        config, engine, job = self.config, self.engine_config, self.job
        start = job.parent if config.generator_from == "parent" else job.diffusion_parent
        self.generator = self._transformer(start)
        torch.manual_seed(config.seed + 7)
        critic = self._transformer(job.diffusion_parent if config.discriminator_from == "diffusion" else job.parent)
        discriminator = Discriminator(critic, config.heads)
        if engine.activation_checkpointing:
            self.generator.enable_gradient_checkpointing()
            critic.enable_gradient_checkpointing()
        self.g_engine = build_engine(self.generator, config.generator, engine, config.batch_size)
        passes = 1 if config.stacked else samples_judged(config)
        judging = engine.model_copy(update={"gradient_accumulation": passes * engine.gradient_accumulation})
        self.d_engine = build_engine(discriminator, config.discriminator, judging, passes * config.batch_size)
        self.average = ExponentialMovingAverage(self.generator, config.ema_decay)
        self.engines = {"generator": self.g_engine, "discriminator": self.d_engine}
        self.cosine = GradientCosine(self.g_engine)

    def _transformer(self, parent: str | None) -> OmniHumanModel:
        model, shared = (
            build_transformer(self.job.profile, parent, self.config.seed),
            self.engine_config.sequence_parallel,
        )
        if shared > 1:
            share_tokens(model, shared)
        return model

    def _build_probe(self) -> Probe:
        """With the ends of the teacher's trajectories; where they are not kept from an earlier start, it is loaded for them, and let go."""
        try:
            data = self._open(held_out=True)
        except SnapshotError as error:
            print(f"{self.job.name}: the probe's samples are trained on: {error}", flush=True)
            data = self.data
        wanted, rows = probe_conditions(self.config), data.table
        if wanted.audio and not rows["audio"].any():
            wanted = Conditions(wanted.text, wanted.reference)
        rows = rows[(rows["bucket"] == rows["bucket"].iloc[0]) & (rows["audio"] | (not wanted.audio))]
        batch = data.chosen(list(rows.index[: self.config.probe.conditions]), wanted)
        shift = self.job.profile.evaluation.sampling.shift
        probe = Probe(self.config, batch.as_images() if self.images else batch, shift, self.generate)
        path, fingerprint = Path(self.job.work) / "probe.safetensors", job_fingerprint(self.job, self.digest)
        fingerprint = fingerprint if shift == 1.0 else f"{fingerprint}-shift-{shift:g}"
        if of_rank_0(lambda: kept_for(path, fingerprint)):
            probe.recall(path)
            return probe
        teacher = self._transformer(self.job.diffusion_parent).eval().requires_grad_(False)
        cast_weights(teacher, answering_dtype(self.engine_config))
        probe.follow(teacher.to(device_of_rank()))
        if self.rank == 0:
            probe.keep(path, fingerprint)
        return probe

    def step(self, number: int) -> Step:
        """One update of the discriminator, and after the warm-up one of the generator.

        The generator is not trained after a discriminator's update that was not finite: neither has then stepped.
        """
        batch = self._load(2 * number)
        row = self._update_discriminator(batch, number)
        engines = {"discriminator": EngineStep(row["discriminator_gradient_norm"], batch.clip_ids)}
        tokens = batch_tokens(batch)
        if number >= self.alone and math.isfinite(row["discriminator_gradient_norm"]):
            batch = self._load(2 * number + 1)
            row |= self._update_generator(batch, number)
            engines["generator"] = EngineStep(row["generator_gradient_norm"], batch.clip_ids)
            tokens += batch_tokens(batch)
            row |= self.cosine.read()
        row = mean_over_ranks(row, self.g_engine.device)
        return Step(row, f"D {row['discriminator_loss']:.3f} gap {row['logit_gap']:+.2f}", engines, tokens)

    def _update_discriminator(self, batch: RankBatch, number: int) -> dict[str, float]:
        return discriminator_step(self.g_engine, self.d_engine, self._draws(batch), self.config)

    def _update_generator(self, batch: RankBatch, number: int) -> dict[str, float]:
        return generator_step(self.g_engine, self.d_engine, self._draws(batch), self.config)

    @property
    def alone(self) -> int:
        """The update from which on both learn; those before it are the discriminator's, or of another kind."""
        return self.config.updates - self.config.steps

    def _load(self, number: int) -> RankBatch:
        # After a roll-back other samples with other noise: the same ones would end where they ended.
        number += 2 * self.steps * len(self.validation.watch.rollbacks)
        return self.data.rank_batch(number, self.replica, self.replicas, self.images)

    def _draws(self, batch: RankBatch) -> Iterator[Draw]:
        return draw_parts(batch, self.config, self.g_engine.gradient_accumulation_steps())

    def record(self) -> dict[str, Any]:
        """Updates of the generator, those of the discriminator alone before them, and every roll-back."""
        return {
            "steps": self.config.steps,
            "critic_warmup": self.config.critic_warmup,
            "objective": self.config.objective,
            "rollbacks": self.validation.watch.rollbacks,
        }

    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write the averaged generator with its card."""
        return write_transformer(self.job, self.generator, weights, recorder, record, write_card)
