"""Adversarial post-training of the one-step generator against real data, images then videos (APT section 4)."""

from pathlib import Path

import torch

from omnihuman.transformer import OmniHumanTransformer3DModel
from profiles.schema import AdversarialConfig
from training.data.compatibility import SnapshotError
from training.data.conditions import Conditions
from training.data.loader import SnapshotData
from training.distillation.collapse import CollapseWatch
from training.distillation.critic_probe import Probe, probe_conditions
from training.distillation.discriminator import Discriminator
from training.distillation.distillation_card import write_card
from training.distillation.gradient_cosine import GradientCosine
from training.distillation.updates import Draw, discriminator_step, draw_parts, generator_step
from training.engine.checkpoint import Checkpoints
from training.engine.deepspeed_engine import build_engine
from training.engine.ema import ExponentialMovingAverage
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.product import write_output
from training.run.recorder import Recorder
from training.stages.model import build_transformer


def train_adversarial(job: TrainingJob) -> dict:
    """Run or resume one phase; write the generator's average and return the record.

    Raises:
        training.distillation.collapse.Collapsed: collapsed once more than it may; the last good checkpoint is kept.
    """
    return AdversarialPhase(job).run()


class AdversarialPhase:
    """Two engines, the generator's average, and the watch over them."""

    def __init__(self, job: TrainingJob):
        self.job, profile = job, job.profile
        self.config: AdversarialConfig = getattr(profile, job.section)
        self.images = job.section == "adversarial_images"
        self.rank, self.ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self.total = self.config.critic_warmup + self.config.steps
        # APT section 4.4: no clipping.
        changed = {
            "gradient_clipping": 0.0,
            "gradient_accumulation": self.config.gradient_accumulation or profile.engine.gradient_accumulation,
        }
        self.engine_config = profile.engine.model_copy(update=changed)
        self.data = self._open()
        self._build_engines()
        fingerprint = job_fingerprint(job, self.data.digest)
        self.probe = self._build_probe(fingerprint)
        self.watch = CollapseWatch(self.config.collapse)
        self.checkpoints = Checkpoints(Path(job.work), fingerprint, self.engine_config.keep_checkpoints)
        self.step, state = self.checkpoints.load(self.engines, self.averages)
        self.recorder = Recorder(job, self.total, self.data.digest)
        self.recorder.resume_at(self.step)
        self.saved = self.step
        if state:
            self.watch.load(state)
            self.saved = state.get("saved", self.step)

    def _open(self, held_out: bool = False) -> SnapshotData:
        job, config, seed = self.job, self.config, self.config.seed + (201 if self.images else 301)
        profile = job.profile.model_copy(update={"engine": self.engine_config})
        return SnapshotData(
            Path(job.snapshot),
            Path(job.features_root),
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
        self.d_engine = build_engine(discriminator, config.discriminator, engine, config.batch_size)
        self.average = ExponentialMovingAverage(self.generator, config.ema_decay)
        self.engines = {"generator": self.g_engine, "discriminator": self.d_engine}
        self.averages = {"generator": self.average}
        self.cosine = GradientCosine(self.g_engine)

    def _transformer(self, parent: str | None) -> OmniHumanTransformer3DModel:
        return build_transformer(self.job.profile, parent, self.config.seed)

    def _build_probe(self, fingerprint: str) -> Probe:
        """The teacher is loaded for its trajectories; its module then holds the averaged weights at each probe."""
        try:
            data = self._open(held_out=True)
        except SnapshotError as error:
            print(f"{self.job.name}: the probe's samples are trained on: {error}", flush=True)
            data = self.data
        wanted, rows = probe_conditions(self.config), data.table
        if wanted.audio and not rows["audio"].any():
            wanted = Conditions(wanted.text, wanted.reference, False, False)
        rows = rows[(rows["bucket"] == rows["bucket"].iloc[0]) & (rows["audio"] | (not wanted.audio))]
        batch = data.chosen(list(rows.index[: self.config.probe.conditions]), wanted)
        probe = Probe(self.config, batch.as_images() if self.images else batch)
        self.student = self._transformer(self.job.diffusion_parent).eval().requires_grad_(False)
        if (dtype := next(self.generator.parameters()).dtype) != self.student.dtype:
            self.student.to(dtype)
        self.student.to(self.g_engine.device)
        probe.follow(self.student, Path(self.job.work) / "probe.safetensors", fingerprint, write=self.rank == 0)
        self.student.to("cpu")
        return probe

    def run(self) -> dict:
        """Train to the end, rolling back where it collapses."""
        config = self.config
        with self.recorder:
            if not self.watch.start:
                self.watch.start = self.probe.diversity(self.g_engine.module)
                if config.collapse.max_rollbacks:
                    self._save()
            while self.step < self.total:
                self._advance()
                if self.step < self.total and self.checkpoints.stop.asked():
                    self._save(sound=False)
                    self.checkpoints.stop.leave(self.step, self.total)
            self.recorder.flush()
            record = {
                "steps": config.steps,
                "critic_warmup": config.critic_warmup,
                "objective": config.objective,
                "snapshot_digest": self.data.digest,
                "rollbacks": self.watch.rollbacks,
            }
            weights = self.average.whole()
            if self.rank == 0:
                record = write_output(self.job, self.generator, weights, self.recorder, record, write_card)
        return record

    def _advance(self) -> None:
        """One update of the discriminator, one of the generator after the warm-up, and what follows from the numbers."""
        step, every = self.step, self.engine_config.checkpoint_every
        row = discriminator_step(self.g_engine, self.d_engine, self._load(2 * step), self.config)
        if step >= self.config.critic_warmup:
            row |= generator_step(self.g_engine, self.d_engine, self._load(2 * step + 1), self.config)
            row |= self.cosine.read()
            self.average.update()
        # Never a checkpoint whose diversity nobody looked at.
        due = step + 1 - self.saved >= every and step + 1 < self.total
        if due or (step + 1) % self.config.probe.every == 0 or step + 1 == self.total:
            row |= self._probe()
        row = self._over_ranks(row) | {"rollbacks": float(len(self.watch.rollbacks))}
        reason = self.watch.observe(row)
        self.recorder.log(step, row, f"D {row['discriminator_loss']:.3f} gap {row['logit_gap']:+.2f}")
        self.step += 1
        if reason is not None:
            self._roll_back(reason)
        elif due and self.watch.healthy:
            self._save()

    def _load(self, number: int) -> list[Draw]:
        # After a roll-back other samples with other noise: the same ones would end where they ended.
        number += 2 * self.total * len(self.watch.rollbacks)
        batch = self.data.batch(number, self.rank, self.ranks)
        return draw_parts(
            batch.as_images() if self.images else batch, self.config, self.g_engine.gradient_accumulation_steps()
        )

    def _probe(self) -> dict[str, float]:
        device = self.g_engine.device
        diversity = self.probe.diversity(self.g_engine.module)
        weights = self.average.whole()
        with torch.no_grad():
            for name, parameter in self.student.to(device).named_parameters():
                parameter.copy_(weights[name])
        following = self.probe.following(self.student)
        self.student.to("cpu")
        return {name: value / self.watch.start[name] for name, value in diversity.items()} | following

    def _over_ranks(self, row: dict[str, float]) -> dict[str, float]:
        """Means over ranks: every rank reads the same numbers and decides alike."""
        values = torch.tensor(list(row.values()), dtype=torch.float64, device=self.g_engine.device)
        torch.distributed.all_reduce(values)
        return dict(zip(row, (values / self.ranks).tolist(), strict=True))

    def _save(self, sound: bool = True) -> None:
        """`sound` is one to roll back to. What a stop leaves is not: nobody looked at its diversity."""
        self.recorder.flush()
        self.saved = self.step if sound else self.saved
        self.checkpoints.save(
            self.step, self.engines, self.averages, {**self.watch.state(), "saved": self.saved}, sound=sound
        )

    def _roll_back(self, reason: str) -> None:
        """Back to the last good pair of engines and their average.

        MLflow keeps the failed attempt's numbers, the curve goes on from the checkpoint. A run that is killed
        before its next checkpoint comes here again with the same numbers, so the count needs no file of its own.
        """
        self.recorder.flush()
        said = self.watch.note(self.step, self.saved, reason)
        self.step, _ = self.checkpoints.load(self.engines, self.averages, "sound")
        self.recorder.resume_at(self.step)
        self.recorder.event(self.step, "roll-back", count=len(self.watch.rollbacks), what=said)
