r"""A causal one-step student by adversarial post-training (APT2, arXiv 2506.09350), from the bidirectional one-step student.

1. Teacher forcing: on the parent's videos $y = S(z)$ the student makes each latent from its noise and the parent's latents before it,
   $L = \| G(z_f, y_{<f}) - y_f \|^2$. APT2 adapts its diffusion model and distils it by consistency for this; here the one step is
   there already, and what is to be learned is to do without the future.
2. Student forcing: the student makes videos of itself, with its memory, up to a window that is drawn, and only that window has a
   gradient: one pass over its own latents, held fixed, gives the same video again, all at once. The discriminator judges every latent,
   in relativistic pairs with the clip's, under the approximated R1 and R2.

Windows after the first are the training on long videos: they begin with the memory that those before them left. In a share of samples
the past is spoiled first, so that the student learns to come back.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from omnihuman.precision import cast_weights
from omnihuman.streaming.causal import CausalTransformer
from omnihuman.streaming.settings import Streaming
from profiles.schema import StreamingConfig
from training.data.rank_batch import RankBatch
from training.distillation.adversarial import AdversarialPhase
from training.distillation.distillation_card import write_card
from training.distillation.gradient_cosine import GradientCosine
from training.distillation.objectives import generator_loss
from training.distillation.one_step import one_step
from training.distillation.probe_validation import ProbeValidation
from training.distillation.streaming_critic import CausalDiscriminator
from training.distillation.streaming_videos import Window, disturbed, inputs_at, roll_out, whole_video
from training.distillation.updates import Draw, frozen, judge, mean_of, samples_judged, spread
from training.engine.deepspeed_engine import (
    answering,
    answering_dtype,
    backward,
    build_engine,
    compute_dtype,
    computing,
    device_of_rank,
    rate_factor,
    set_rate,
    take_step,
)
from training.engine.ema import ExponentialMovingAverage
from training.engine.loop import Loop, Step
from training.engine.process_group import mean_over_ranks
from training.engine.step_guard import EngineStep
from training.engine.throughput import batch_tokens
from training.errors import TrainingError
from training.run.jobs import TrainingJob
from training.run.product import write_transformer
from training.run.recorder import Recorder

PREFIX = "transformer."  # of the weights inside a CausalTransformer
FURTHER = 1 << 61  # one bit from the seed of a sample's noise: that of the latents after its clip


def train_streaming(job: TrainingJob) -> dict[str, Any]:
    """Run or resume the training; write the student's average and return the record.

    Raises:
        TrainingError: the profile says nothing of a streaming student.
        training.distillation.collapse.Collapsed: as of the other adversarial phases.
    """
    if job.profile.streaming is None:
        raise TrainingError(f"profile {job.profile.name} has no section streaming; profiles/laptop.yaml shows one")
    return Loop(StreamingPhase(job)).run()


def streaming_settings(config: StreamingConfig) -> Streaming:
    """How the student that a section trains streams."""
    return Streaming(config.window, config.lookahead, config.sink)


class StreamingValidation(ProbeValidation):
    """The look at the adversarial part: what the student is before it has followed the parent is nothing to go back to."""

    config: StreamingConfig

    def begin(self) -> bool:
        """As of the other phases, where nothing comes before the discriminator."""
        return self.rolls_back if self.config.teacher_forcing and not self.watch.start else super().begin()

    def measure(self, done: int, saving: bool, recorder: Recorder) -> dict[str, float]:
        """Nothing until the student has followed the parent; what it is then is what collapses are measured by."""
        if done < self.config.teacher_forcing:
            return {}
        # The update that ends the following may have been skipped as not finite: then it is the next.
        if done == self.config.teacher_forcing or not self.watch.start:
            self.watch.start = self._diversity()
        return super().measure(done, saving, recorder)


class StreamingPhase(AdversarialPhase):
    """The engines of student and discriminator, and the parent whose videos come first."""

    config: StreamingConfig
    generate = staticmethod(whole_video)
    look = StreamingValidation

    def _build_engines(self) -> None:
        from deepspeed.runtime.zero import register_external_parameter

        config, engine, job = self.config, self.engine_config, self.job
        if engine.sequence_parallel > 1:
            raise TrainingError("a causal pass is not split over ranks: set streaming.sequence_parallel to 1")
        streaming = streaming_settings(config)
        model = self._transformer(job.parent)
        self.generator = CausalTransformer(model, streaming)
        # Its parts are called and it is not: said here, as of the discriminator's backbone.
        register_external_parameter(self.generator, model.token_types)
        register_external_parameter(self.generator, model.scale_shift_table)
        torch.manual_seed(config.seed + 7)
        critic = self._transformer(job.diffusion_parent if config.discriminator_from == "diffusion" else job.parent)
        discriminator = CausalDiscriminator(CausalTransformer(critic, streaming), config.heads)
        if engine.activation_checkpointing:
            model.enable_gradient_checkpointing()
            critic.enable_gradient_checkpointing()
        parent = self._transformer(job.parent).eval().requires_grad_(False)
        cast_weights(parent, answering_dtype(engine))
        self.g_engine = build_engine(self.generator, config.generator, engine, config.batch_size)
        passes = 1 if config.stacked else samples_judged(config)
        judging = engine.model_copy(update={"gradient_accumulation": passes * engine.gradient_accumulation})
        self.d_engine = build_engine(discriminator, config.discriminator, judging, passes * config.batch_size)
        self.parent = answering(parent, engine, device_of_rank())
        self.average = ExponentialMovingAverage(self.generator, config.ema_decay)
        self.engines = {"generator": self.g_engine, "discriminator": self.d_engine}
        self.cosine = GradientCosine(self.g_engine)

    @property
    def _times(self) -> tuple[int, int]:
        """Frames of sound that a latent hears ahead, and of a latent."""
        return self.config.lookahead, self.generator.transformer.temporal_stride

    def step(self, number: int) -> Step:
        """One update: of the student alone on the parent's videos, then of the discriminator, then of both."""
        if number < self.config.teacher_forcing:
            return self._forced(number)
        set_rate(self.g_engine, 1.0)
        return super().step(number)

    def _forced(self, number: int) -> Step:
        config, engine = self.config, self.g_engine
        batch = self._load(2 * number)
        set_rate(engine, config.forcing_rate * rate_factor(number, config.teacher_forcing, 10, 0.1))
        rows, norm = [], 0.0
        for draw in self._draws(batch):
            loss = self._distance(draw)
            backward(engine, loss)
            norm = take_step(engine)
            rows.append({"distillation_loss": loss})
        row = mean_of(rows) | {"generator_gradient_norm": norm} | self.cosine.read()
        taken = {"generator": EngineStep(norm, batch.clip_ids)}
        row = mean_over_ranks(row, engine.device)
        return Step(row, f"loss {row['distillation_loss']:.4f}", taken, batch_tokens(batch))

    def _distance(self, draw: Draw) -> Tensor:
        """Mean squared distance from the parent's video, on its own past."""
        part = draw.batch.to(self.g_engine.device, compute_dtype(self.g_engine))
        conditions = part.conditions().without("motion")
        wanted = self._of_parent(part.noise, conditions)
        past = self._spoiled(wanted[:, :, :-1], draw)
        count = wanted.shape[2]
        made, _ = self.g_engine(part.noise, past, inputs_at(conditions, 0, count, count, *self._times))
        return (made.float() - wanted.float()).square().mean()

    @torch.no_grad()
    def _of_parent(self, noise: Tensor, conditions: Any) -> Tensor:
        with computing(self.g_engine):
            return one_step(self.parent, noise, conditions)

    def _spoiled(self, past: Tensor, draw: Draw) -> Tensor:
        """Which samples, and how, depends on each sample's own draw."""
        if not self.config.disturbed or not past.shape[2]:
            return past
        parts = []
        for sample, one in zip(draw.batch.samples, past.split(1), strict=True):
            generator = torch.Generator().manual_seed(sample.noise_seed ^ (1 << 60))
            which = torch.rand(1, generator=generator) < self.config.disturbed
            parts.append(disturbed(one, which, generator))
        return torch.cat(parts)

    def _update_discriminator(self, batch: RankBatch, number: int) -> dict[str, float]:
        rows, norm, engine = [], 0.0, self.d_engine
        for draw in self._draws(batch):
            part = draw.batch.to(engine.device, compute_dtype(engine))
            conditions, window = part.conditions().without("motion"), self._window(number, part.latents.shape[2])
            with torch.no_grad(), computing(self.g_engine):
                made, _ = self._student_forced(self.g_engine.module, part, draw, window)
            real = part.latents[:, :, window.of_clip :]
            placed = Draw(draw.batch, draw.t, draw.perturbation[:, :, :, window.of_clip :])
            row, norm = judge(
                engine, real, made.to(real), placed, self._judged(conditions, window), self.config, start=window.of_clip
            )
            rows.append(row | {"batch_diversity": spread(made) / spread(real)})
        return mean_of(rows) | {"discriminator_gradient_norm": norm}

    def _update_generator(self, batch: RankBatch, number: int) -> dict[str, float]:
        rows, norm, engine = [], 0.0, self.g_engine
        with frozen(self.d_engine.module):
            for draw in self._draws(batch):
                row = self._generator_losses(draw, number)
                backward(engine, row["generator_loss"] + self.config.distillation_weight * row["distillation_loss"])
                norm = take_step(engine)
                rows.append(row)
        if self.d_engine.zero_optimization_stage() == 3:
            self.d_engine.optimizer.empty_partition_cache()  # as `updates.generator_step` says
        return mean_of(rows) | {"generator_gradient_norm": norm}

    def _generator_losses(self, draw: Draw, number: int) -> dict[str, Tensor]:
        part, t = draw.batch.to(self.g_engine.device, compute_dtype(self.g_engine)), draw.t.to(self.g_engine.device)
        conditions, window = part.conditions().without("motion"), self._window(number, part.latents.shape[2])
        made, _ = self._student_forced(self.g_engine, part, draw, window)
        judging = partial(self.d_engine.module, conditions=self._judged(conditions, window), start=window.of_clip)
        with computing(self.d_engine):
            with torch.no_grad():
                real = judging(part.latents[:, :, window.of_clip :], t)
            fake = judging(made, t)
        row = {"generator_loss": generator_loss(real, fake, self.config.objective)}
        distance = torch.zeros_like(row["generator_loss"])
        if window.round == 0 and self.config.distillation_weight:
            distance = (made.float() - self._of_parent(part.noise, conditions).float()).square().mean()
        return row | {"distillation_loss": distance, "round": torch.tensor(float(window.round))}

    def _student_forced(self, model: Any, part: Any, draw: Draw, window: Window) -> tuple[Tensor, Any]:
        """A window of the student's own video again, in one pass of `model` over its own latents."""
        conditions, noise = part.conditions().without("motion"), self._noise(part, window)
        with computing(self.g_engine):
            own = roll_out(self.g_engine.module, noise, conditions, window)
        given = inputs_at(conditions, window.start, window.latents, window.stop, *self._times)
        made, memory = model(
            noise[:, :, window.start :], self._spoiled(own.past, draw), given, window.start, own.memory
        )
        return made, memory

    def _noise(self, part: Any, window: Window) -> Tensor:
        """The batch's own, and of each sample's draw what follows it."""
        more = window.stop - part.noise.shape[2]
        if not more:
            return part.noise
        shape = (part.noise.shape[1], more, *part.noise.shape[3:])
        drawn = [
            torch.randn(shape, generator=torch.Generator().manual_seed(sample.noise_seed ^ FURTHER))
            for sample in part.samples
        ]
        return torch.cat([part.noise, torch.stack(drawn).to(part.noise)], dim=2)

    def _judged(self, conditions: Any, window: Window) -> Any:
        """The clip's conditions, from the latent on that the window is held against; the reference is seen by every latent."""
        clip, first = window.clip, window.of_clip
        given = inputs_at(conditions, first, clip - first, clip, *self._times)
        return given | {"reference": conditions.reference, "reference_mask": conditions.reference_mask}

    def _window(self, number: int, clip: int) -> Window:
        """Which window of the video an update trains; the same on all ranks."""
        if clip < 2:
            return Window(0, clip)
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + number)
        return Window(int(torch.randint(self.config.rounds + 1, (1,), generator=generator)), clip)

    def record(self) -> dict[str, Any]:
        """As the other phases', and how the student streams."""
        forced = {"teacher_forcing": self.config.teacher_forcing}
        return super().record() | forced | {"streaming": streaming_settings(self.config).record()}

    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write the averaged student, whose weights have the names of every transformer's, with its card."""
        bare = {name.removeprefix(PREFIX): value for name, value in weights.items()}
        return write_transformer(self.job, self.generator.transformer, bare, recorder, record, write_card)
